// The models that the server has, as it said last.
import {getJson} from "./api.js";
import {Emitter} from "./emitter.js";
import {getPref, setPref} from "./prefs.js";

export const catalog = new Emitter(); // "change"

const known = {models: [], asked: false};

export const models = () => known.models;

export async function loadModels() {
    const {data} = await getJson("v1/models");
    known.models = Array.isArray(data) ? data.filter((m) => m && typeof m.id === "string") : [];
    known.asked = true;
    catalog.emit("change");
    return known.models;
}

export const findModel = (name) => known.models.find((m) => m.id === name);

// The model of a conversation, else the one that was chosen last, else the server's first.
export function modelOf(settings) {
    const name = (settings && settings.model) || getPref("model", "");
    return findModel(name) || known.models[0] || null;
}

export function chooseModel(name) {
    setPref("model", name);
}
