// Getting a model from the hub by its name: how far it is, whether it will fit, and a way to stop it.
import {post, ServerError} from "./api.js";
import {fill, h, textButton, uniqueId} from "./dom.js";
import {bytes, number, t} from "./i18n.js";
import {lines} from "./sse.js";
import {say} from "./toast.js";
import {visible} from "./visible.js";

const RATE_MS = 4000;

// got(): a model is there that was not
export class PullBox {
    constructor(got) {
        this.got = got;
        const id = uniqueId("field");
        this.name = h("input", {class: "field", id, spellcheck: false, autocapitalize: "off", autocomplete: "off", dir: "ltr",
            placeholder: "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0", "aria-describedby": id + "-hint"});
        this.start = textButton(t("pull.start"), null, {class: "button primary", type: "submit"}, "download");
        this.stop = textButton(t("pull.stop"), () => this.controller.abort(), {hidden: true}, "stop");
        this.bar = h("div", {class: "wide-bar", role: "progressbar", "aria-label": t("pull.title"), "aria-valuemin": "0", "aria-valuemax": "100"}, h("span", {}));
        this.words = h("span", {class: "hint", role: "status"});
        this.warning = h("p", {class: "hint fits-never"});
        this.at = h("div", {class: "pull-progress", hidden: true}, this.bar, this.words, this.warning);
        this.wrong = h("p", {class: "wrong", role: "alert"});
        this.element = h("section", {class: "card pull", "aria-label": t("pull.title")}, h("h2", {}, t("pull.title")),
            h("form", {onsubmit: (event) => {
                event.preventDefault();
                this.run();
            }}, h("label", {for: id}, t("pull.name")), h("div", {class: "pull-row"}, this.name, this.start, this.stop),
            h("span", {class: "hint", id: id + "-hint"}, t("pull.hint"))), this.at, this.wrong);
    }

    show({total, completed, status}) {
        if (!total) {
            fill(this.words, visible(status || ""));
            return;
        }
        const now = performance.now(), part = Math.min(100, (100 * completed) / total);
        this.recent.push([now, completed]);
        while (this.recent.length > 2 && this.recent[0][0] < now - RATE_MS) this.recent.shift();
        const [then, had] = this.recent[0], rate = now > then ? (1000 * (completed - had)) / (now - then) : 0;
        this.bar.firstChild.style.setProperty("inline-size", `${part}%`);
        this.bar.setAttribute("aria-valuenow", String(Math.round(part)));
        fill(this.words, t("pull.at", {done: bytes(completed), all: bytes(total), percent: number(part) + "%", rate: bytes(rate)}));
        fill(this.warning, this.limit && total > this.limit ? t("pull.large", {limit: bytes(this.limit)}) : null);
    }

    busy(is) {
        this.running = is;
        this.start.hidden = is;
        this.stop.hidden = !is;
        this.name.disabled = is;
        this.at.hidden = !is;
    }

    async read(reply) {
        let last = {};
        for await (const line of lines(reply.body.getReader())) {
            if (!line.trim()) continue;
            last = JSON.parse(line);
            if (last.error) throw new ServerError(500, last.error);
            this.show(last);
        }
        if (last.status !== "success") throw new ServerError(0, t("pull.broken"));
    }

    async run() {
        const model = this.name.value.trim();
        if (!model) {
            this.name.focus();
            return;
        }
        this.controller = new AbortController();
        this.recent = [];
        fill(this.wrong);
        fill(this.warning);
        fill(this.words, t("pull.begins"));
        this.bar.firstChild.style.setProperty("inline-size", "0");
        this.busy(true);
        try {
            await this.read(await post("api/pull", {model}, {signal: this.controller.signal}));
            say(t("pull.done", {name: model}));
            this.name.value = "";
            this.got();
        } catch (error) {
            fill(this.wrong, this.controller.signal.aborted ? t("pull.stopped") : visible(error.message));
        }
        this.busy(false);
    }
}
