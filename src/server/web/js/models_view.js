// The models that the server has: what they are, which are in memory, which would fit; getting more, loading and
// unloading, for who may.
import {account, who} from "./account.js";
import {getJson, post} from "./api.js";
import {catalog, chooseModel, loadModels, models} from "./catalog.js";
import {fill, h, textButton} from "./dom.js";
import {bytes, number, t} from "./i18n.js";
import {modelCard} from "./model_card.js";
import {PullBox} from "./pull_box.js";
import {say} from "./toast.js";
import {visible} from "./visible.js";

const SOON_MS = 400, EACH_MS = 5000;

const kept = {pull: null}; // it goes on while another view is shown

export class ModelsView {
    constructor(go) {
        this.go = go;
        this.asked = new Map(); // what a model was asked to do, until it is done
        this.cards = new Map(); // what was opened stays so
        this.list = h("div", {class: "cards"});
        this.memory = h("div", {class: "memory-line"});
        this.server = h("p", {class: "hint"});
        if (!kept.pull || !kept.pull.running) kept.pull = new PullBox(() => loadModels().catch(() => {}));
        this.pull = kept.pull;
        this.element = h("div", {class: "view", tabIndex: 0}, h("h1", {}, t("models.title")), h("p", {class: "lead"}, t("models.note")),
            this.memory, this.list, this.pull.element, this.server);
        this.ends = [catalog.on("change", () => this.show()), account.on("change", () => this.show())];
        this.show();
        this.refresh();
    }

    async refresh() {
        if (this.closed) return;
        clearTimeout(this.timer);
        try {
            await loadModels();
            this.props = await getJson("props");
            this.limit = this.props.memory && this.props.memory.limit;
            this.pull.limit = this.limit;
            fill(this.server, t("models.server", this.props));
            this.showMemory();
        } catch (error) {
            if (!this.told) say(error.message, "error");
            this.told = true;
        }
        const busy = this.asked.size || models().some((m) => m.state === "loading" || m.state === "unloading");
        if (!this.closed) this.timer = setTimeout(() => this.refresh(), busy ? SOON_MS : EACH_MS);
    }

    showMemory() {
        const {used, limit} = this.props.memory;
        if (!limit) return;
        const words = t("models.memory", {used: bytes(used), all: bytes(limit)}), part = Math.min(100, (100 * used) / limit);
        const bar = h("div", {class: "wide-bar", role: "meter", "aria-label": words, "aria-valuemin": "0", "aria-valuemax": String(limit),
            "aria-valuenow": String(Math.min(used, limit))}, h("span", {}));
        bar.firstChild.style.setProperty("inline-size", `${part}%`);
        fill(this.memory, h("span", {}, words), bar);
    }

    facts(model) {
        const row = ([name, value]) => h("div", {}, h("dt", {}, t("models." + name)), h("dd", {}, value));
        const rows = [["size", bytes(model.bytes)], ["needs", bytes(model.memory ? model.memory.weights + model.memory.conversations : model.bytes)]];
        if (model.loaded) {
            rows.unshift(["architecture", model.architecture], ["types", model.types], ["parameters", short(model.parameters)]);
            rows.push(["context", t("models.tokens", {count: number(model.max_model_len)})]);
        }
        return h("dl", {class: "facts"}, rows.map(row));
    }

    badge(model) {
        const doing = this.asked.get(model.id) || model.state;
        const percent = number(100 * (model.progress || 0)) + "%";
        const words = {loading: model.progress ? t("models.loading.part", {percent}) : t("models.loading"), unloading: t("models.unloading"),
            loaded: t("models.loaded"), unloaded: t("models.unloaded")}[doing];
        return h("span", {class: "badge" + (doing === "loaded" ? " good" : "")}, words);
    }

    // Whether it would find room, of one that is not loaded.
    room(model) {
        if (model.loaded || !model.fits) return null;
        return h("p", {class: "hint fits-" + model.fits}, t("models.fits." + model.fits));
    }

    actions(model) {
        const busy = this.asked.has(model.id) || model.state === "loading" || model.state === "unloading";
        const chat = textButton(t("models.chat"), () => {
            chooseModel(model.id);
            this.go("#/new");
        }, {class: "button primary"}, "chat");
        const change = !who().manages ? null
            : model.loaded ? textButton(t("models.unload"), () => this.change(model, "unload"), {disabled: busy}, "stop")
                : textButton(t("models.load"), () => this.change(model, "load"), {disabled: busy}, "play");
        return h("div", {class: "row"}, chat, change);
    }

    details(model) {
        if (!this.cards.has(model.id)) this.cards.set(model.id, modelCard(model.id));
        return this.cards.get(model.id);
    }

    card(model) {
        return h("article", {class: "card"}, h("div", {class: "card-head"}, h("h2", {}, h("bdi", {}, visible(model.id))), this.badge(model)),
            this.facts(model), this.room(model), this.details(model), this.actions(model));
    }

    show() {
        const state = JSON.stringify([models(), [...this.asked], who()]);
        if (state === this.state) return;
        const focus = this.list.contains(document.activeElement) ? document.activeElement.textContent : null;
        const at = focus === null ? -1 : [...this.list.querySelectorAll("button, summary")].indexOf(document.activeElement);
        this.state = state;
        fill(this.list, models().filter((m) => !m.parent).map((model) => this.card(model)));
        this.pull.element.hidden = !who().pulls;
        if (at >= 0) ([...this.list.querySelectorAll("button, summary")][at] || this.element).focus({preventScroll: true});
    }

    async change(model, what) {
        this.asked.set(model.id, what + "ing");
        this.show();
        this.refresh();
        try {
            await post("models/" + what, {model: model.id});
        } catch (error) {
            say(error.message, "error");
        }
        this.asked.delete(model.id);
        await this.refresh();
        this.show();
    }

    close() {
        this.closed = true;
        clearTimeout(this.timer);
        for (const end of this.ends) end();
    }
}

function short(count) {
    if (count >= 1e9) return number(count / 1e9, 1) + " B";
    return count >= 1e6 ? number(count / 1e6, 1) + " M" : number(count);
}
