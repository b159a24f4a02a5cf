// The page's languages: a file each in lang/, with the same names.
import {Emitter} from "./emitter.js";
import {getPref, setPref} from "./prefs.js";
import {en} from "./lang/en.js";
import {zh} from "./lang/zh.js";

export const languages = {en, zh};
export const languageChanges = new Emitter();

const state = {words: en, code: "en"};

function wanted() {
    const chosen = getPref("language", null);
    const asked = [chosen, ...(navigator.languages || [navigator.language || "en"])];
    for (const tag of asked) {
        const code = String(tag || "").toLowerCase().split("-")[0];
        if (Object.hasOwn(languages, code)) return code;
    }
    return "en";
}

export function applyLanguage() {
    state.code = wanted();
    state.words = languages[state.code];
    document.documentElement.lang = state.words["language.tag"];
    document.documentElement.dir = state.words["language.direction"];
}

export function setLanguage(code) {
    setPref("language", code);
    applyLanguage();
    languageChanges.emit("change");
}

export const language = () => state.code;
export const languageTag = () => state.words["language.tag"];

// The words for a name, {x} in them replaced. Of a count there may be a form for one: "name.one".
export function t(name, values) {
    const one = values && values.count === 1 ? state.words[name + ".one"] : undefined;
    const words = one || state.words[name] || en[name] || name;
    return values ? words.replace(/\{(\w+)\}/g, (all, key) => (key in values ? String(values[key]) : all)) : words;
}

export function number(value, digits = 0) {
    return new Intl.NumberFormat(languageTag(), {maximumFractionDigits: digits}).format(value);
}

export function bytes(value) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let at = 0;
    while (value >= 1000 && at + 1 < units.length) {
        value /= 1000;
        at += 1;
    }
    return `${number(value, value < 10 && at ? 1 : 0)} ${units[at]}`;
}

export function dateOf(ms) {
    return new Intl.DateTimeFormat(languageTag(), {dateStyle: "medium"}).format(new Date(ms));
}

export function dateTime(ms) {
    return new Intl.DateTimeFormat(languageTag(), {dateStyle: "medium", timeStyle: "short"}).format(new Date(ms));
}
