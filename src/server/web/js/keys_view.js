// For administrators: who may use the server, how much, and how much they did.
import {ServerError, getJson, post, request} from "./api.js";
import {copyText} from "./clipboard.js";
import {confirmed, openDialog} from "./dialog.js";
import {fill, h, iconButton, textButton, uniqueId} from "./dom.js";
import {dateOf, number, t} from "./i18n.js";
import {visible} from "./visible.js";

const DAYS = 30;
const COUNTS = ["requests_per_minute", "tokens_per_minute", "tokens_per_day", "concurrency"];
const sum = (rows, name) => rows.reduce((all, row) => all + row[name], 0);

function limitsOf(key) {
    const set = COUNTS.filter((name) => key[name]).map((name) => t(`admin.${name}.short`, {count: number(key[name])}));
    if (key.models) set.push(t("admin.models.short", {models: visible(key.models)}));
    return set.length ? set.join(" · ") : t("admin.unlimited");
}

// Where a line has no room, each cell is one, with its head before it.
function table(label, names, lines) {
    const heads = names.map((name) => t("admin.head." + name));
    const cell = (value, at) => h(at ? "td" : "th", {scope: at ? null : "row", "data-label": heads[at]}, value);
    const rows = lines.map((values) => h("tr", {}, values.map(cell)));
    return h("div", {class: "table-place", tabIndex: 0, role: "region", "aria-label": label}, h("table", {class: "list"},
        h("thead", {}, h("tr", {}, heads.map((head) => h("th", {scope: "col"}, head)))), h("tbody", {}, rows)));
}

// The text of a key that was just made: here, and never again.
function showMade(made) {
    return openDialog(t("admin.made", {name: made.name}), (close) => {
        const field = h("input", {class: "field mono", readOnly: true, value: made.key, "aria-label": t("key.label"), autofocus: true,
            onfocus: () => field.select()});
        return [h("p", {}, t("admin.made.note")), h("div", {class: "pull-row"}, field,
            textButton(t("copy"), () => copyText(made.key), {class: "button primary"}, "copy")),
        h("div", {class: "dialog-actions"}, textButton(t("close"), () => close(null)))];
    }, {class: "wide"});
}

function field(name, more) {
    const id = uniqueId("field"), input = h("input", {class: "field", id, name, ...more});
    return {input, box: h("div", {class: "setting"}, h("label", {for: id}, t("admin." + name)), input)};
}

// Asks for a new key; what was made, or null.
function askForNew() {
    return openDialog(t("admin.add"), (close) => {
        const name = field("name", {required: true, maxlength: "64", autocomplete: "off", autofocus: true});
        const counts = [...COUNTS, "days"].map((each) => field(each, {type: "number", min: "0", step: "1", inputmode: "numeric"}));
        const models = field("models", {autocomplete: "off", dir: "ltr"});
        const admin = h("input", {type: "checkbox", id: uniqueId("field")});
        const wrong = h("p", {class: "wrong", role: "alert"});
        const save = async (event) => {
            event.preventDefault();
            const body = {name: name.input.value.trim(), admin: admin.checked};
            for (const {input} of counts) if (input.value) body[input.name] = input.valueAsNumber;
            if (models.input.value.trim()) body.models = models.input.value.trim();
            try {
                close(await (await post("v1/keys", body)).json());
            } catch (error) {
                fill(wrong, visible(error.message));
            }
        };
        return h("form", {class: "settings", onsubmit: save}, name.box, h("p", {class: "hint"}, t("admin.limits.note")),
            h("div", {class: "grid"}, counts.map((each) => each.box)), models.box,
            h("div", {class: "check"}, admin, h("label", {for: admin.id}, t("admin.admin.long"))), wrong,
            h("div", {class: "dialog-actions"}, textButton(t("cancel"), () => close(null)),
                textButton(t("admin.add"), null, {class: "button primary", type: "submit"})));
    }, {class: "wide"});
}

export class KeysView {
    constructor() {
        this.wrong = h("p", {class: "wrong", role: "alert"});
        this.keys = h("div", {});
        this.usage = h("div", {});
        this.element = h("div", {class: "view", tabIndex: 0}, h("h1", {}, t("admin.title")), h("p", {class: "lead"}, t("admin.note")), this.wrong,
            h("div", {class: "row"}, textButton(t("admin.add"), () => this.add(), {class: "button primary"}, "add")), this.keys,
            h("h2", {}, t("admin.usage", {days: DAYS})), this.usage);
        this.refresh();
    }

    async refresh() {
        try {
            const [keys, usage] = await Promise.all([getJson("v1/keys"), getJson(`v1/usage?days=${DAYS}`)]);
            fill(this.wrong);
            this.show(keys.data, usage.data);
        } catch (error) {
            const mine = error instanceof ServerError && [401, 403].includes(error.status);
            fill(this.wrong, mine ? t("admin.forbidden") : visible(error.message));
            fill(this.keys);
            fill(this.usage);
        }
    }

    show(keys, usage) {
        const ofKey = (name) => usage.filter((row) => row.key === name && !row.removed);
        const row = (key) => [
            h("span", {}, h("bdi", {}, visible(key.name)), key.admin ? h("span", {class: "badge"}, t("admin.admin")) : null),
            h("code", {}, "…" + visible(key.hint)), limitsOf(key), dateOf(key.created * 1000),
            key.expired ? t("admin.expired") : key.expires ? dateOf(key.expires * 1000) : t("admin.never"),
            number(sum(ofKey(key.name), "prompt_tokens") + sum(ofKey(key.name), "answer_tokens")),
            iconButton("trash", t("admin.remove", {name: key.name}), () => this.remove(key))];
        fill(this.keys, keys.length ? table(t("admin.title"), ["name", "hint", "limits", "created", "expires", "tokens", "action"],
            keys.map(row)) : h("p", {class: "hint"}, t("admin.none")));
        this.showUsage(usage);
    }

    // A line for each key and model, with a bar for its part of all.
    showUsage(usage) {
        const groups = new Map();
        for (const row of usage) {
            const name = JSON.stringify([row.key, row.model, row.removed]);
            groups.set(name, [...(groups.get(name) || []), row]);
        }
        const tokens = (rows) => sum(rows, "prompt_tokens") + sum(rows, "answer_tokens");
        const most = Math.max(1, ...[...groups.values()].map(tokens));
        const bar = (rows) => {
            const box = h("span", {class: "small-bar", "aria-hidden": "true"}, h("span", {}));
            box.firstChild.style.setProperty("inline-size", `${(100 * tokens(rows)) / most}%`);
            return h("span", {class: "counted"}, number(tokens(rows)), box);
        };
        const line = (rows) => [h("bdi", {}, rows[0].key === null ? t("admin.nobody") : visible(rows[0].key) + (rows[0].removed ? " " + t("admin.removed") : "")),
            visible(rows[0].model), number(sum(rows, "requests")), number(sum(rows, "prompt_tokens")), number(sum(rows, "cached_tokens")),
            number(sum(rows, "answer_tokens")), bar(rows)];
        const sorted = [...groups.values()].sort((a, b) => tokens(b) - tokens(a));
        fill(this.usage, sorted.length ? table(t("admin.usage", {days: DAYS}), ["name", "model", "requests", "prompts", "cached", "answers", "tokens"],
            sorted.map(line)) : h("p", {class: "hint"}, t("admin.unused")));
    }

    async add() {
        const made = await askForNew();
        if (!made) return;
        await showMade(made);
        await this.refresh();
    }

    async remove(key) {
        if (!await confirmed(t("admin.remove.title"), t("admin.remove.sure", {name: key.name}), t("admin.remove.title"))) return;
        try {
            await request("v1/keys/" + encodeURIComponent(key.name), {method: "DELETE"});
        } catch (error) {
            fill(this.wrong, visible(error.message));
            return;
        }
        await this.refresh();
    }

    close() {
        this.closed = true;
    }
}
