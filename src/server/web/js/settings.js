// What an answer is asked for with. A setting that is not set is the model's own.
import {getPref, setPref} from "./prefs.js";

// name: what it is called in a request, its range; usual: what most people change
export const numbers = [
    {name: "temperature", min: 0, max: 2, step: 0.05, usual: true},
    {name: "top_p", min: 0, max: 1, step: 0.01, usual: true},
    {name: "top_k", min: 0, max: 1000, step: 1},
    {name: "min_p", min: 0, max: 1, step: 0.01},
    {name: "repetition_penalty", min: 0.1, max: 3, step: 0.05},
    {name: "presence_penalty", min: -2, max: 2, step: 0.1},
    {name: "frequency_penalty", min: -2, max: 2, step: 0.1},
    {name: "max_tokens", min: 1, max: 1000000, step: 1, usual: true},
    {name: "seed", min: 0, max: 4294967295, step: 1, usual: true},
];
export const efforts = ["none", "minimal", "low", "medium", "high"];

export function defaultSettings() {
    const {model, ...rest} = getPref("settings", {});
    return {...cleanSettings(rest), ...(typeof model === "string" ? {model} : {})};
}

export function setDefaultSettings(settings) {
    setPref("settings", settings);
}

// Of what was imported or stored, what is right.
export function cleanSettings(from) {
    const clean = {};
    if (!from || typeof from !== "object") return clean;
    for (const {name, min, max} of numbers) {
        const value = from[name];
        if (typeof value === "number" && value >= min && value <= max) clean[name] = value;
    }
    for (const name of ["model", "system", "tools", "schema"]) if (typeof from[name] === "string") clean[name] = from[name];
    if (efforts.includes(from.effort)) clean.effort = from.effort;
    if (Array.isArray(from.stop)) clean.stop = from.stop.filter((s) => typeof s === "string" && s).slice(0, 16);
    return clean;
}

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}

// What is wrong with a text that has to be JSON: null if nothing is.
export function jsonProblem(text, isRight) {
    if (!text || !text.trim()) return null;
    try {
        return isRight(JSON.parse(text)) ? null : "shape";
    } catch (error) {
        return error.message;
    }
}

// The members of a request that are not its messages.
export function toRequest(settings) {
    const body = {};
    for (const {name} of numbers) if (settings[name] !== undefined) body[name] = settings[name];
    if (settings.model) body.model = settings.model;
    if (settings.effort) body.reasoning_effort = settings.effort;
    if (settings.stop && settings.stop.length) body.stop = settings.stop;
    const tools = settings.tools && parsed(settings.tools);
    if (Array.isArray(tools) && tools.length) body.tools = tools;
    const schema = settings.schema && parsed(settings.schema);
    if (schema && !body.tools) body.response_format = {type: "json_schema", json_schema: {name: "answer", schema}};
    return body;
}
