// One prompt, two ways to answer it; and whether an answer is the same, to the byte, when it is asked for again.
import {stream} from "./api.js";
import {catalog, modelOf, models} from "./catalog.js";
import {difference} from "./difference.js";
import {fill, h, textButton} from "./dom.js";
import {bytes, number, t} from "./i18n.js";
import {readMetrics} from "./metrics.js";
import {getPref, setPref} from "./prefs.js";
import {Rendered} from "./rendered.js";
import {editSettings} from "./settings_dialog.js";
import {cleanSettings, toRequest} from "./settings.js";
import {visible} from "./visible.js";

const CROWD = 8;

const size = (text) => bytes(new TextEncoder().encode(text).length);

async function uptime() {
    try {
        return (await readMetrics({quiet: true})).get("gyr:uptime_seconds") || 0;
    } catch {
        return 0;
    }
}

// One of the two.
class Side {
    constructor(name, changed) {
        this.name = name;
        this.changed = changed;
        this.settings = cleanSettings(getPref("compare." + name, {seed: name === "left" ? 1 : 2}));
        if (this.settings.seed === undefined) this.settings.seed = 1;
        this.runs = [];
        this.choice = h("select", {class: "model-choice", "aria-label": `${t("compare." + name)}: ${t("chat.model")}`, onchange: () => {
            this.settings.model = this.choice.value;
            this.keep();
        }});
        this.note = h("span", {class: "hint"});
        this.said = h("div", {class: "said compare-said"});
        this.verdict = h("div", {class: "verdict", role: "status"});
        this.element = h("section", {class: "side", "aria-label": t("compare." + name)}, h("div", {class: "row"}, this.choice,
            textButton(t("compare.settings"), () => this.edit(), {}, "settings")), this.note, this.said, this.verdict);
        this.show();
    }

    show() {
        const model = modelOf(this.settings);
        fill(this.choice, models().map((m) => h("option", {value: m.id, selected: Boolean(model) && m.id === model.id}, m.id)));
        if (!models().length) this.choice.append(h("option", {}, t("chat.model.none")));
        const set = Object.entries(this.settings).filter(([key]) => !["model", "system", "tools", "schema"].includes(key));
        fill(this.note, set.map(([key, value]) => `${t("settings." + key)} ${value}`).join(" · "));
    }

    keep() {
        setPref("compare." + this.name, this.settings);
        this.clear();
        this.show();
    }

    async edit() {
        const changed = await editSettings(this.settings, t("compare.settings"), false);
        if (!changed) return;
        this.settings = {...changed, seed: changed.seed === undefined ? 1 : changed.seed};
        this.keep();
    }

    clear() {
        this.runs = [];
        fill(this.said);
        fill(this.verdict);
        this.changed();
    }

    async ask(prompt, signal, heard) {
        const model = modelOf(this.settings), messages = [{role: "user", content: prompt}];
        if (this.settings.system) messages.unshift({role: "system", content: this.settings.system});
        const body = {...toRequest(this.settings), ...(model ? {model: model.id} : {}), messages, stream: true};
        let text = "";
        for await (const event of stream("v1/chat/completions", body, signal)) {
            const delta = event.choices && event.choices[0] && event.choices[0].delta;
            if (!delta) continue;
            text += (delta.reasoning_content || "") + (delta.content || "");
            if (heard) heard(text);
        }
        return text;
    }

    // Asks once, or in a crowd, and compares with the first answer there was.
    async run(prompt, signal, times) {
        if (this.prompt !== prompt) this.clear();
        this.prompt = prompt;
        const since = await uptime(), box = h("div", {}), shown = new Rendered(box);
        fill(this.said, box);
        fill(this.verdict);
        try {
            const answers = await Promise.all(Array.from({length: times}, (_, at) =>
                this.ask(prompt, signal, at ? null : (text) => shown.grow(text))));
            shown.text = answers[0];
            shown.end();
            const restarted = this.runs.length > 0 && since < this.since;
            this.since = since;
            this.runs.push(...answers);
            this.judge(times, restarted);
        } catch (error) {
            if (!signal.aborted) fill(this.verdict, h("span", {class: "wrong"}, t("compare.error", {why: visible(error.message)})));
        }
        this.changed();
    }

    judge(times, restarted) {
        const {runs} = this, other = runs.findIndex((text) => text !== runs[0]);
        if (other >= 0) {
            fill(this.verdict, h("span", {class: "wrong"}, t("compare.other", {run: other + 1, at: number(difference(runs[0], runs[other]))})));
        } else if (runs.length > 1) {
            const which = times > 1 ? ".crowd" : restarted ? ".restart" : "";
            fill(this.verdict, h("span", {class: "good"}, t("compare.same" + which, {runs: runs.length, size: size(runs[0])})));
        }
    }
}

export class CompareView {
    constructor() {
        this.both = h("div", {class: "verdict", role: "status"});
        this.sides = ["left", "right"].map((name) => new Side(name, () => this.judge()));
        this.prompt = h("textarea", {class: "field", rows: "3", dir: "auto", id: "compare-prompt",
            oninput: () => setPref("compare.prompt", this.prompt.value)});
        this.prompt.value = getPref("compare.prompt", "");
        this.buttons = h("div", {class: "row"});
        this.element = h("div", {class: "view wide-view", tabIndex: 0}, h("h1", {}, t("compare.title")), h("p", {class: "lead"}, t("compare.note")),
            h("label", {for: "compare-prompt"}, t("compare.prompt")), this.prompt, this.buttons, this.both,
            h("div", {class: "sides"}, this.sides.map((side) => side.element)));
        this.end = catalog.on("change", () => this.sides.forEach((side) => side.show()));
        this.showButtons();
    }

    showButtons() {
        const again = this.sides && this.sides.some((side) => side.runs.length);
        if (this.controller) {
            fill(this.buttons, textButton(t("compose.stop"), () => this.stop(), {}, "stop"));
            return;
        }
        fill(this.buttons, textButton(t(again ? "compare.again" : "compare.run"), () => this.run(1), {class: "button primary"}, "play"),
            again ? textButton(t("compare.crowd"), () => this.run(CROWD), {}, "models") : null,
            again ? textButton(t("compare.clear"), () => this.sides.forEach((side) => side.clear())) : null);
    }

    async run(times) {
        const prompt = this.prompt.value.trim();
        if (!prompt) {
            this.prompt.focus();
            return;
        }
        this.controller = new AbortController();
        this.showButtons();
        await Promise.all(this.sides.map((side) => side.run(prompt, this.controller.signal, times)));
        this.controller = null;
        this.showButtons();
    }

    running() {
        return Boolean(this.controller);
    }

    stop() {
        this.controller.abort();
    }

    judge() {
        if (!this.buttons) return;
        const [left, right] = this.sides.map((side) => side.runs[0]);
        const done = left !== undefined && right !== undefined;
        fill(this.both, !done ? null : left === right ? h("span", {class: "good"}, t("compare.both.same", {size: size(left)}))
            : t("compare.both.other", {at: number(difference(left, right))}));
        if (!this.controller) this.showButtons();
    }

    close() {
        if (this.controller) this.controller.abort();
        this.end();
    }
}
