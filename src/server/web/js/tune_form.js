// A new fine-tuning job: a model, a file of chats, and how it is to be learned.
import {post, request} from "./api.js";
import {catalog, modelOf, models} from "./catalog.js";
import {chatsOf} from "./csv.js";
import {fill, h, textButton, uniqueId} from "./dom.js";
import {chooseFiles} from "./files.js";
import {bytes, t} from "./i18n.js";
import {Examples, tuneFiles} from "./tune_examples.js";
import {visible} from "./visible.js";

const NUMBERS = [["n_epochs", {min: "1", max: "50", step: "1"}], ["batch_size", {min: "1", max: "256", step: "1"}],
    ["learning_rate_multiplier", {min: "0.001", max: "1000", step: "any"}], ["beta", {min: "0.001", max: "2", step: "any"}], ["seed", {min: "0", max: "2147483647", step: "1"}]];

async function send(file) {
    const form = new FormData(), table = /\.csv$/i.test(file.name);
    const data = table ? new File([chatsOf(await file.text())], file.name.replace(/\.csv$/i, ".jsonl")) : file;
    form.append("purpose", "fine-tune");
    form.append("file", data, data.name);
    return (await request("v1/files", {method: "POST", body: form})).json();
}

export class TuneForm {
    constructor(begun) {
        this.begun = begun;
        this.files = [];
        const id = uniqueId("tune");
        const labelled = (name, element) => h("div", {class: "setting"}, h("label", {for: element.id}, t("tune." + name)), element);
        const select = (name, more) => h("select", {class: "field", id: `${id}-${name}`, ...more});
        this.model = select("model", {onchange: () => this.examples.hide()});
        this.training = select("training", {onchange: () => this.change()});
        this.method = select("method", {onchange: () => this.change()});
        fill(this.method, ["supervised", "dpo"].map((is) => h("option", {value: is}, t("tune.method." + is))));
        this.validation = select("validation");
        this.suffix = h("input", {class: "field", id: id + "-suffix", maxlength: "64", autocomplete: "off", dir: "ltr", pattern: "[A-Za-z0-9._\\-]*"});
        this.numbers = NUMBERS.map(([name, range]) => h("input", {class: "field", id: `${id}-${name}`, name, type: "number", placeholder: name === "seed" ? "0" : t("tune.auto"), ...range}));
        this.wrong = h("p", {class: "wrong", role: "alert"});
        this.examples = new Examples();
        this.look = textButton(t("tune.look"), () => this.examples.show(this.wish()), {}, "search");
        this.start = textButton(t("tune.start"), null, {class: "button primary", type: "submit"}, "play");
        this.element = h("section", {class: "card", "aria-label": t("tune.new")}, h("h2", {}, t("tune.new")),
            h("form", {class: "settings", onsubmit: (event) => this.submit(event)}, h("div", {class: "grid"}, labelled("model", this.model), labelled("training", this.training), labelled("method", this.method)),
                h("div", {class: "row"}, textButton(t("tune.upload"), () => this.upload(), {}, "upload"), h("span", {class: "hint"}, t("tune.upload.note"))),
                h("details", {class: "more"}, h("summary", {}, t("tune.more")), h("div", {class: "grid"}, labelled("suffix", this.suffix), labelled("validation", this.validation),
                    this.numbers.map((input) => labelled(input.name, input)))), this.wrong,
                h("div", {class: "row"}, this.look, this.start)), this.examples.element);
        this.end = catalog.on("change", () => this.showModels());
        this.showModels();
        this.change();
    }

    showModels() {
        const before = this.model.value || (modelOf() || {}).id;
        fill(this.model, models().filter((m) => !m.parent).map((m) => h("option", {value: m.id, selected: m.id === before}, visible(m.id))));
    }

    async load(chosen) {
        try {
            this.files = await tuneFiles();
        } catch (error) {
            fill(this.wrong, visible(error.message));
        }
        const option = (file, is) => h("option", {value: file.id, selected: file.id === is}, `${visible(file.filename)} (${bytes(file.bytes)})`);
        const training = chosen || this.training.value, validation = this.validation.value;
        fill(this.training, this.files.length ? null : h("option", {value: ""}, t("tune.training.none")), this.files.map((f) => option(f, training)));
        fill(this.validation, h("option", {value: ""}, t("tune.validation.none")), this.files.map((f) => option(f, validation)));
        this.change();
    }

    change() {
        this.examples.hide();
        this.look.disabled = !this.training.value;
        this.start.disabled = !this.training.value;
        this.numbers.find((input) => input.name === "beta").closest("div").hidden = this.method.value !== "dpo";
    }

    async upload() {
        const [file] = await chooseFiles(".jsonl,.csv", false);
        if (!file) return;
        fill(this.wrong);
        try {
            const made = await send(file);
            await this.load(made.id);
        } catch (error) {
            fill(this.wrong, visible(error.message));
        }
    }

    wish() {
        const type = this.method.value, is = ({name, value}) => value && name !== "seed" && (name !== "beta" || type === "dpo");
        const hyperparameters = Object.fromEntries(this.numbers.filter(is).map((input) => [input.name, input.valueAsNumber]));
        return {model: this.model.value, training_file: this.training.value, method: {type, [type]: {hyperparameters}}};
    }

    async submit(event) {
        event.preventDefault();
        const body = this.wish(), seed = this.numbers.find((input) => input.name === "seed");
        if (this.suffix.value) body.suffix = this.suffix.value;
        if (this.validation.value) body.validation_file = this.validation.value;
        if (seed.value) body.seed = seed.valueAsNumber;
        fill(this.wrong);
        this.start.disabled = true;
        try {
            this.begun(await (await post("v1/fine_tuning/jobs", body)).json());
        } catch (error) {
            fill(this.wrong, visible(error.message));
        }
        this.change();
    }

    close() {
        this.end();
    }
}
