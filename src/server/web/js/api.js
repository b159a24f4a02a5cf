// The server: requests with the key, and errors that say what happened. Paths are relative to the page, so that a proxy
// may put it under a path of its own.
import {Emitter} from "./emitter.js";
import {getPref, setPref} from "./prefs.js";
import {events} from "./sse.js";

export const server = new Emitter(); // "reached", "lost"

const access = {ask: null, asking: null, owner: ""}; // owner: whose the key is; null: not known yet

// What asks the user for a key: a function that gives it, or null.
export function askKeysWith(ask) {
    access.ask = ask;
}

export function currentKey() {
    return getPref("key", "");
}

export function setKey(key) {
    if (key !== currentKey()) access.owner = null;
    setPref("key", key || undefined);
}

// Whose the key is, as the server says.
export function setOwner(id) {
    access.owner = id;
}

export class ServerError extends Error {
    constructor(status, message, code, retryAfter) {
        super(message);
        this.status = status; // 0: it was not reached
        this.code = code;
        this.retryAfter = retryAfter;
    }
}

async function toError(reply) {
    const text = await reply.text().catch(() => "");
    const wait = Number(reply.headers.get("Retry-After")) || 0;
    try {
        const {error} = JSON.parse(text);
        return new ServerError(reply.status, error.message || String(error), error.code, wait);
    } catch {
        return new ServerError(reply.status, `${reply.status} ${reply.statusText} ${text.slice(0, 200)}`.trim(), null, wait);
    }
}

async function once(path, options) {
    const key = currentKey();
    const headers = {...(options.body && !(options.body instanceof FormData) ? {"Content-Type": "application/json"} : {}),
        ...(key ? {Authorization: "Bearer " + key} : {}), ...options.headers};
    try {
        const reply = await fetch(path, {cache: "no-store", credentials: "same-origin", referrerPolicy: "no-referrer",
            ...options, headers});
        server.emit("reached");
        return reply;
    } catch (error) {
        if (error.name === "AbortError") throw error;
        server.emit("lost");
        throw new ServerError(0, String(error.message || error), "unreachable");
    }
}

// One question for a key, however many requests wait for it.
function newKey(reason) {
    access.asking = access.asking || access.ask(reason).finally(() => {
        access.asking = null;
    });
    return access.asking;
}

// What one user wanted to say is never said with the key of another.
export async function request(path, options = {}) {
    const {owner} = access;
    for (;;) {
        const tried = currentKey();
        const reply = await once(path, options);
        if (reply.ok || reply.status === 304) return reply;
        const error = await toError(reply);
        if (error.status !== 401 || !access.ask || options.quiet) throw error;
        if (currentKey() === tried && !await newKey(tried ? error.message : "")) throw error;
        if (owner && access.owner !== owner) throw error;
    }
}

export async function getJson(path, options) {
    return (await request(path, options)).json();
}

export async function getText(path, options) {
    return (await request(path, options)).text();
}

export function post(path, body, options) {
    return request(path, {method: "POST", body: JSON.stringify(body), ...options});
}

// The events of an answer that comes in pieces, as objects.
export async function* stream(path, body, signal) {
    const reply = await post(path, body, {signal});
    for await (const data of events(reply.body.getReader())) {
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw new ServerError(500, event.error.message, event.error.code);
        yield event;
    }
    throw new ServerError(0, "the connection ended before the answer did", "unreachable");
}

export async function isWell() {
    try {
        return (await once("health", {})).ok;
    } catch {
        return false;
    }
}
