// What this browser remembers of its user, beside conversations: language, theme, key, settings for new conversations.
import {Emitter} from "./emitter.js";

const PREFIX = "gyr.";
const session = new Map(); // where the browser keeps nothing

export const prefs = new Emitter();

export function getPref(name, otherwise) {
    try {
        const text = localStorage.getItem(PREFIX + name);
        return text === null ? (session.has(name) ? session.get(name) : otherwise) : JSON.parse(text);
    } catch {
        return session.has(name) ? session.get(name) : otherwise;
    }
}

export function setPref(name, value) {
    if (value === undefined) session.delete(name);
    else session.set(name, value);
    try {
        if (value === undefined) localStorage.removeItem(PREFIX + name);
        else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    } catch {
        // It holds until the page is closed.
    }
    prefs.emit(name, value);
}
