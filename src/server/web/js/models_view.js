// The models that the server has: what they are, which are in memory.
import {getJson, post} from "./api.js";
import {catalog, chooseModel, loadModels, models} from "./catalog.js";
import {fill, h, textButton} from "./dom.js";
import {bytes, number, t} from "./i18n.js";
import {say} from "./toast.js";
import {visible} from "./visible.js";

export class ModelsView {
    constructor(go) {
        this.go = go;
        this.loading = new Set();
        this.list = h("div", {class: "cards"});
        this.server = h("p", {class: "hint"});
        this.element = h("div", {class: "view", tabIndex: 0}, h("h1", {}, t("models.title")), h("p", {class: "lead"}, t("models.note")), this.list, this.server);
        this.end = catalog.on("change", () => this.show());
        this.show();
        this.refresh();
    }

    async refresh() {
        try {
            await loadModels();
            const props = await getJson("props");
            fill(this.server, t("models.server", props));
        } catch (error) {
            say(error.message, "error");
        }
    }

    facts(model) {
        const row = ([name, value]) => h("div", {}, h("dt", {}, t("models." + name)), h("dd", {}, value));
        if (!model.loaded) {
            return [model.bytes ? h("dl", {class: "facts"}, row(["size", bytes(model.bytes)])) : null,
                h("p", {class: "hint"}, t("models.unknown"))];
        }
        const rows = [["architecture", model.architecture], ["types", model.types], ["parameters", short(model.parameters)],
            ["size", bytes(model.bytes)], ["context", t("models.tokens", {count: number(model.max_model_len)})]];
        return [h("dl", {class: "facts"}, rows.map(row))];
    }

    details(model) {
        if (!model.loaded) return null;
        const inside = h("div", {});
        return h("details", {ontoggle: async (event) => {
            if (!event.target.open || inside.firstChild) return;
            try {
                const shown = await (await post("api/show", {model: model.id})).json();
                fill(inside, h("h3", {}, t("models.template")),
                    h("pre", {tabIndex: 0, role: "region", "aria-label": t("models.template")}, visible(shown.template || "")));
            } catch (error) {
                fill(inside, h("p", {class: "wrong"}, error.message));
            }
        }}, h("summary", {}, t("models.details")), inside);
    }

    card(model) {
        const loading = this.loading.has(model.id);
        const state = loading ? t("models.loading") : t(model.loaded ? "models.loaded" : "models.unloaded");
        return h("article", {class: "card"}, h("div", {class: "card-head"}, h("h2", {}, h("bdi", {}, visible(model.id))),
            h("span", {class: "badge" + (model.loaded ? " good" : "")}, state)), this.facts(model), this.details(model),
        h("div", {class: "row"}, textButton(t("models.chat"), () => {
            chooseModel(model.id);
            this.go("#/new");
        }, {class: "button primary"}, "chat"),
        model.loaded ? null : textButton(t("models.load"), () => this.load(model), {disabled: loading}, "play")));
    }

    show() {
        fill(this.list, models().map((model) => this.card(model)));
    }

    async load(model) {
        this.loading.add(model.id);
        this.show();
        try {
            await post("api/generate", {model: model.id, prompt: "", stream: false});
        } catch (error) {
            say(error.message, "error");
        }
        this.loading.delete(model.id);
        await this.refresh();
        this.show();
    }

    close() {
        this.end();
    }
}

function short(count) {
    if (count >= 1e9) return number(count / 1e9, 1) + " B";
    return count >= 1e6 ? number(count / 1e6, 1) + " M" : number(count);
}
