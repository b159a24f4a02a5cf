// What a model's file says of it, asked for when it is opened.
import {getJson} from "./api.js";
import {fill, h} from "./dom.js";
import {bytes, number, t} from "./i18n.js";
import {visible} from "./visible.js";

const LONGEST = 300;
const SHOWN = {"general.name": "name", "general.author": "author", "general.organization": "organization", "general.license": "licence",
    "general.license.link": "licenceLink", "general.description": "description", "general.languages": "languages",
    "general.base_model.0.name": "base", "general.quantized_by": "quantized"};

const cut = (text) => (text.length > LONGEST ? text.slice(0, LONGEST) + "…" : text);
const plain = (value) => visible(cut(typeof value === "string" ? value : Array.isArray(value) ? value.join(", ") : JSON.stringify(value)));

function table(rows) {
    return h("dl", {class: "facts card-facts"}, rows.filter(([, value]) => value !== undefined && value !== null && value !== "")
        .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {dir: "auto"}, value))));
}

function block(title, text) {
    return text ? [h("h3", {}, title), h("pre", {tabIndex: 0, role: "region", "aria-label": title}, visible(text))] : [];
}

function known(about) {
    const sizes = about.hyperparameters || {}, {metadata = {}} = about;
    const named = Object.keys(SHOWN).filter((key) => metadata[key]).map((key) => [t("card." + SHOWN[key]), plain(metadata[key])]);
    return [...named, [t("models.architecture"), about.architecture && visible(about.architecture)],
        [t("models.parameters"), about.parameters && number(about.parameters)],
        [t("models.types"), about.types && Object.entries(about.types).map(([type, size]) => `${visible(type)} ${bytes(size)}`).join(", ")],
        [t("models.context"), sizes.context && t("models.tokens", {count: number(sizes.context)})],
        [t("card.layers"), sizes.layers && number(sizes.layers)],
        [t("card.vocabulary"), sizes.vocab && number(sizes.vocab)],
        [t("card.perToken"), about.kv_bytes_per_token && bytes(about.kv_bytes_per_token)]];
}

function inside({about}) {
    if (!about) return [h("p", {class: "hint"}, t("card.none"))];
    const all = Object.entries(about.metadata || {}).map(([key, value]) => [visible(key), plain(value)]);
    return [table(known(about)), ...block(t("models.template"), about.chat_template),
        h("details", {class: "more"}, h("summary", {}, t("card.all", {count: all.length})), table(all))];
}

export function modelCard(id) {
    const place = h("div", {});
    return h("details", {ontoggle: async (event) => {
        if (!event.target.open || event.target !== event.currentTarget || place.firstChild) return;
        try {
            fill(place, inside(await getJson("models/card?model=" + encodeURIComponent(id))));
        } catch (error) {
            fill(place, h("p", {class: "wrong"}, visible(error.message)));
        }
    }}, h("summary", {}, t("models.details")), place);
}
