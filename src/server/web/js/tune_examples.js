// What would be learned from a file: the first examples as the model's template prints them, what is learned marked.
import {getJson, post} from "./api.js";
import {fill, h, textButton} from "./dom.js";
import {bytes, number, t} from "./i18n.js";
import {visible} from "./visible.js";

const AT_ONCE = 10;

export const tuneFiles = async () => (await getJson("v1/files?purpose=fine-tune")).data;

function example(one) {
    const run = (r) => (r.learned ? h("mark", {class: "learned"}, visible(r.text)) : visible(r.text));
    const side = one.preferred === undefined ? "" : " · " + t(one.preferred ? "tune.preferred" : "tune.other");
    return h("li", {}, h("span", {class: "hint"}, t("tune.example", {line: number(one.line), tokens: number(one.tokens),
        learned: number(one.learned_tokens)}) + side), h("pre", {dir: "auto", tabIndex: 0, "aria-label": t("tune.example.name", {line: one.line})}, one.runs.map(run)));
}

export class Examples {
    constructor() {
        this.status = h("p", {class: "hint", role: "status"});
        this.list = h("ol", {class: "examples"});
        this.more = h("div", {class: "row"});
        this.element = h("section", {class: "examples-place", hidden: true, "aria-label": t("tune.examples")}, h("h2", {}, t("tune.examples")), this.status,
            this.list, this.more);
    }

    async show(body) {
        this.element.hidden = false;
        fill(this.list);
        await this.add(body, 0);
    }

    async add(body, first) {
        fill(this.more);
        fill(this.status, t("tune.examples.reading"));
        try {
            const {plan, data, has_more: others} = await (await post("v1/fine_tuning/examples", {...body, first, limit: AT_ONCE})).json();
            fill(this.status, t("tune.plan", {examples: number(plan.examples), tokens: number(plan.tokens), learned: number(plan.learned_tokens),
                longest: number(plan.longest), epochs: number(plan.n_epochs), steps: number(plan.steps), memory: bytes(plan.bytes)}),
            plan.without_end ? " " + t("tune.plan.endless", {count: number(plan.without_end)}) : null);
            this.list.append(...data.map(example));
            if (others) fill(this.more, textButton(t("tune.examples.more"), () => this.add(body, first + data.length)));
        } catch (error) {
            fill(this.status, h("span", {class: "wrong"}, visible(error.message)));
        }
    }

    hide() {
        this.element.hidden = true;
    }
}
