// The settings of a conversation, in a dialog.
import {fill, h, textButton, uniqueId} from "./dom.js";
import {openDialog} from "./dialog.js";
import {number, t} from "./i18n.js";
import {efforts, jsonProblem, numbers, setDefaultSettings} from "./settings.js";

// A field with its label, a hint, and a place for what is wrong.
function field(name, control, hint) {
    const id = uniqueId("field");
    const note = h("span", {class: "hint", id: id + "-hint"}, hint);
    const wrong = h("span", {class: "wrong", id: id + "-wrong"});
    control.id = id;
    control.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
    const box = h("div", {class: "setting"}, h("label", {for: id}, t("settings." + name)), control, note, wrong);
    const complain = (words) => {
        fill(wrong, words || "");
        control.setAttribute("aria-invalid", words ? "true" : "false");
        return !words;
    };
    return {box, complain};
}

function numberField(form, {name, min, max, step}) {
    const value = form.values[name];
    const input = h("input", {type: "number", class: "field", min: String(min), max: String(max), step: String(step),
        placeholder: name === "seed" || name === "max_tokens" ? "" : t("settings.model"), inputmode: "decimal",
        value: value === undefined ? "" : String(value)});
    const {box, complain} = field(name, input, t(`settings.${name}.hint`));
    form.checks.push(() => {
        const given = input.valueAsNumber, empty = input.value === "" && !input.validity.badInput;
        const whole = step === 1 && !Number.isInteger(given);
        const right = empty || (given >= min && given <= max && !whole);
        if (empty) delete form.values[name];
        else form.values[name] = given;
        return complain(right ? "" : t("settings.wrong.number", {min: number(min), max: number(max)}));
    });
    return box;
}

function textField(form, name, rows, isRight) {
    const area = h("textarea", {class: "field", rows: String(rows), dir: "auto", spellcheck: !isRight, autofocus: !isRight});
    area.value = form.values[name] || "";
    const {box, complain} = field(name, area, t(`settings.${name}.hint`));
    form.checks.push(() => {
        const problem = isRight ? jsonProblem(area.value, isRight) : null;
        if (area.value.trim()) form.values[name] = area.value;
        else delete form.values[name];
        return complain(!problem ? "" : problem === "shape" ? t("settings.wrong.shape") : t("settings.wrong.json", {why: problem}));
    });
    return box;
}

function effortField(form) {
    const choice = h("select", {class: "field"}, ["auto", ...efforts].map((e) =>
        h("option", {value: e, selected: e === (form.values.effort || "auto")}, t("settings.effort." + e))));
    form.checks.push(() => {
        if (choice.value === "auto") delete form.values.effort;
        else form.values.effort = choice.value;
        return true;
    });
    return field("effort", choice, t("settings.effort.hint")).box;
}

function stopField(form) {
    const area = h("textarea", {class: "field", rows: "2"});
    area.value = (form.values.stop || []).join("\n");
    form.checks.push(() => {
        const all = area.value.split("\n").filter(Boolean);
        if (all.length) form.values.stop = all.slice(0, 16);
        else delete form.values.stop;
        return true;
    });
    return field("stop", area, t("settings.stop.hint")).box;
}

const isTools = (value) => Array.isArray(value) && value.every((tool) => tool && tool.function && typeof tool.function.name === "string");
const isSchema = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

// The settings as they were changed; null: they were not. `parts` false: without what only a conversation has.
export function editSettings(settings, title = t("settings.title"), parts = true) {
    const form = {values: {...settings}, checks: []};
    return openDialog(title, (close) => {
        const always = h("input", {type: "checkbox", id: uniqueId("field")});
        const save = (event) => {
            event.preventDefault();
            if (!form.checks.map((check) => check()).every(Boolean)) {
                const wrong = event.target.querySelector("[aria-invalid=true]");
                if (wrong.closest("details")) wrong.closest("details").open = true;
                wrong.focus();
                return;
            }
            if (always.checked) setDefaultSettings(form.values);
            close(form.values);
        };
        const {system, tools, schema} = form.values;
        const rare = numbers.filter((n) => !n.usual);
        return h("form", {class: "settings", novalidate: true, onsubmit: save},
            textField(form, "system", 4),
            h("h3", {}, t("settings.sampling")),
            h("div", {class: "grid"}, numbers.filter((n) => n.usual).map((n) => numberField(form, n)), effortField(form)),
            h("details", {class: "more", open: rare.some((n) => n.name in form.values) || Boolean(form.values.stop)},
                h("summary", {}, t("settings.more")), h("div", {class: "grid"}, rare.map((n) => numberField(form, n)), stopField(form))),
            parts ? h("details", {class: "more", open: Boolean(tools || schema)}, h("summary", {}, t("settings.advanced")),
                textField(form, "tools", 5, isTools), textField(form, "schema", 5, isSchema)) : null,
            parts ? h("div", {class: "check"}, always, h("label", {for: always.id}, t("settings.default"))) : null,
            h("div", {class: "dialog-actions"},
                textButton(t("settings.reset"), () => close({...(settings.model ? {model: settings.model} : {}), ...(system ? {system} : {})})),
                h("span", {class: "space"}), textButton(t("cancel"), () => close(null)),
                textButton(t("save"), null, {class: "button primary", type: "submit"})));
    }, {class: "wide"});
}
