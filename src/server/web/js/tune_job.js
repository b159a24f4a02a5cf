// A fine-tuning job: how far it is, its curves, and what can be done with it and with what came of it.
import {getJson, post, request} from "./api.js";
import {chooseModel} from "./catalog.js";
import {curves} from "./chart.js";
import {confirmed} from "./dialog.js";
import {fill, h, textButton} from "./dom.js";
import {dateTime, number, t} from "./i18n.js";
import {getPref, setPref} from "./prefs.js";
import {visible} from "./visible.js";

const PAGE = 1000, PAGES = 6;
const UNDER_WAY = ["validating_files", "queued", "running", "paused"];

export const isMoving = (job) => ["validating_files", "queued", "running"].includes(job.status);

export class TuneJob {
    // go(hash): shows a view; changed(): something was asked of the server; gone(name): whether the model is deleted
    constructor(job, {go, changed, gone}) {
        Object.assign(this, {job, go, changed, gone});
        this.steps = new Map(); // metrics by step
        this.messages = [];
        this.name = h("h2", {});
        this.badge = h("span", {class: "badge"});
        this.bar = h("div", {class: "wide-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100"}, h("span", {}));
        this.told = h("p", {class: "hint"});
        this.figures = h("div", {class: "curves"});
        this.wrong = h("p", {class: "wrong", role: "alert"});
        this.log = h("ol", {class: "tune-log"});
        this.buttons = h("div", {class: "row"});
        this.element = h("article", {class: "card"}, h("div", {class: "card-head"}, this.name, this.badge), this.bar, this.told, this.figures, this.wrong,
            h("details", {}, h("summary", {}, t("tune.log")), this.log), this.buttons);
    }

    // The events that are not known yet.
    async read() {
        let after = "", fresh = true;
        for (let page = 0; fresh && page < PAGES; page += 1) {
            const {data, has_more: more, last_id: last} = await getJson(`v1/fine_tuning/jobs/${this.job.id}/events?limit=${PAGE}${after}`);
            fresh = more;
            for (const event of data) {
                if (event.id === this.newest) fresh = false;
                if (event.type === "metrics") this.steps.set(event.data.step, event.data);
            }
            if (!page) this.messages = data.filter((event) => event.type === "message");
            if (!page && data.length) this.next = data[0].id;
            after = "&after=" + last;
        }
        this.newest = this.next;
    }

    async update(job) {
        const same = JSON.stringify(job) === JSON.stringify(this.job) && this.newest && !isMoving(job);
        this.job = job;
        if (!same) await this.read();
        this.show();
    }

    progress() {
        const last = [...this.steps.values()].reduce((most, m) => (!most || m.step > most.step ? m : most), null);
        return last ? {...last, part: last.step / last.total_steps} : null;
    }

    show() {
        const {job} = this, at = this.progress();
        fill(this.name, h("bdi", {}, visible(job.fine_tuned_model || `${job.model}${job.user_provided_suffix ? " · " + job.user_provided_suffix : ""}`)));
        fill(this.badge, t("tune.status." + job.status));
        this.badge.classList.toggle("good", job.status === "succeeded");
        const percent = job.status === "succeeded" ? 100 : at ? Math.floor(100 * at.part) : 0;
        this.bar.hidden = !UNDER_WAY.includes(job.status);
        this.bar.setAttribute("aria-label", t("tune.progress"));
        this.bar.setAttribute("aria-valuenow", String(percent));
        this.bar.firstChild.style.setProperty("inline-size", `${percent}%`);
        const words = [dateTime(job.created_at * 1000)];
        if (at) words.push(t("tune.at", {step: number(at.step), steps: number(at.total_steps), epoch: number(at.epoch)}));
        if (job.estimated_finish) words.push(t("tune.until", {when: dateTime(job.estimated_finish * 1000)}));
        fill(this.told, words.join(" · "));
        fill(this.wrong, job.error ? visible(job.error.message) : null);
        fill(this.log, this.messages.map((event) => h("li", {}, h("span", {class: "hint"}, dateTime(event.created_at * 1000)), " ", visible(event.message))));
        this.showCurves(at);
        this.showButtons();
    }

    showCurves(at) {
        const all = [...this.steps.values()].sort((a, b) => a.step - b.step), valid = all.filter((m) => m.valid_loss !== undefined).at(-1);
        if (!at) return fill(this.figures);
        const line = (name, kind) => ({kind, points: all.filter((m) => typeof m[name] === "number").map((m) => [m.step, m[name]])});
        const figure = (name, digits, of) => {
            const now = number(of(at["train_" + name]), digits), seen = valid && number(of(valid["valid_" + name]), digits);
            const legend = h("span", {class: "legend"}, h("span", {class: "one"}, h("b", {}, now), " " + t("tune.train")),
                valid ? h("span", {class: "two"}, h("b", {}, seen), " " + t("tune.valid")) : null);
            const words = t("tune." + name);
            return h("section", {class: "tile"}, h("h3", {}, words), legend, curves([line("train_" + name, "one"), line("valid_" + name, "two")], at.total_steps,
                t("tune.curve", {name: words, now, step: number(at.step)})));
        };
        const as = (x) => x, percent = (x) => 100 * x, pairs = this.job.method.type === "dpo";
        return fill(this.figures, figure("loss", 3, as), pairs ? [figure("reward_margin", 3, as), figure("reward_accuracy", 1, percent)]
            : figure("mean_token_accuracy", 1, percent));
    }

    showButtons() {
        const {job} = this, name = job.fine_tuned_model, there = name && job.status === "succeeded" && !this.gone(name);
        const ask = (what) => () => this.ask(what);
        fill(this.buttons,
            there ? textButton(t("tune.chat"), () => this.chat(), {class: "button primary"}, "chat") : null,
            there ? textButton(t("tune.compare"), () => this.compare(), {}, "compare") : null,
            ["queued", "running"].includes(job.status) ? textButton(t("tune.pause"), ask("pause"), {}, "stop") : null,
            job.status === "paused" ? textButton(t("tune.resume"), ask("resume"), {}, "play") : null,
            UNDER_WAY.includes(job.status) ? textButton(t("tune.cancel"), ask("cancel"), {}, "close") : null,
            there ? textButton(t("tune.delete"), () => this.remove(), {}, "trash") : null);
    }

    async ask(what) {
        try {
            this.job = await (await post(`v1/fine_tuning/jobs/${this.job.id}/${what}`, {})).json();
            this.show();
        } catch (error) {
            fill(this.wrong, visible(error.message));
        }
        this.changed();
    }

    chat() {
        chooseModel(this.job.fine_tuned_model);
        this.go("#/new");
    }

    // Before and after, with all else the same.
    compare() {
        const settings = {...getPref("compare.left", {}), seed: 1};
        setPref("compare.left", {...settings, model: this.job.model});
        setPref("compare.right", {...settings, model: this.job.fine_tuned_model});
        this.go("#/compare");
    }

    async remove() {
        const name = this.job.fine_tuned_model;
        if (!await confirmed(t("tune.delete"), t("tune.delete.sure", {name}), t("tune.delete"))) return;
        try {
            await request("v1/models/" + encodeURIComponent(name), {method: "DELETE"});
        } catch (error) {
            fill(this.wrong, visible(error.message));
        }
        this.changed();
    }
}
