// A conversation as one document, which leaves this browser and comes from elsewhere: in files and on the server. What
// comes may be written by anybody: of it is taken what is known, of the right type, and nothing else.
import {cleanSettings} from "./settings.js";

const ROLES = ["user", "assistant", "tool"], STATES = ["done", "stopped", "failed"];
const ID = /^[0-9a-f]{24}$/;

const text = (value, most = Infinity) => (typeof value === "string" ? value.slice(0, most) : "");
const when = (value) => (Number.isFinite(value) && value > 0 && value < 1e14 ? value : Date.now());
const whole = (value) => (Number.isFinite(value) && value >= 0 ? value : undefined);

function cleanCalls(calls) {
    return (Array.isArray(calls) ? calls : []).filter((c) => c && typeof c === "object").slice(0, 1000)
        .map((c) => ({id: text(c.id, 200), name: text(c.name, 300), arguments: text(c.arguments)}));
}

function cleanFiles(files) {
    return (Array.isArray(files) ? files : []).filter((f) => f && typeof f.text === "string").slice(0, 100)
        .map((f) => ({name: text(f.name, 200) || "file", size: f.text.length, text: f.text}));
}

function cleanAnswer(m) {
    const error = m.error && typeof m.error === "object" ? m.error : {};
    const state = STATES.includes(m.state) ? m.state : "stopped";
    return {reasoning: text(m.reasoning), calls: cleanCalls(m.calls), model: text(m.model, 300), state,
        finish: text(m.finish, 40) || undefined, tokens: whole(m.tokens), prompt_tokens: whole(m.prompt_tokens),
        rate: whole(m.rate), first_ms: whole(m.first_ms), cached: whole(m.cached), changed: m.changed === true || undefined,
        request: {settings: cleanSettings(m.request && m.request.settings)},
        ...(state === "failed" ? {error: {message: text(error.message, 2000), status: whole(error.status) || 0, code: text(error.code, 100)}} : {})};
}

function cleanMessage(m, conversation, names) {
    const clean = {id: names.get(m.id), conversation, parent: names.get(m.parent) || null, role: m.role,
        content: text(m.content), created: when(m.created)};
    if (m.role === "user") clean.files = cleanFiles(m.files);
    if (m.role === "tool") clean.call = text(m.call, 200);
    return m.role === "assistant" ? Object.assign(clean, cleanAnswer(m)) : clean;
}

// {conversation, messages} under this id; name(id): what a message is called here.
export function cleanConversation(c, id, name) {
    if (!c || typeof c !== "object" || !Array.isArray(c.messages)) throw new Error("conversations: no messages");
    const known = c.messages.filter((m) => m && typeof m.id === "string" && ROLES.includes(m.role));
    const names = new Map(known.map((m) => [m.id, name(m.id)])), right = known.filter((m) => names.get(m.id));
    const messages = right.map((m) => cleanMessage(m, id, names));
    return {messages, conversation: {id, title: text(c.title, 300), created: when(c.created), updated: when(c.updated),
        changed: when(c.changed), leaf: names.get(c.leaf) || null, settings: cleanSettings(c.settings)}};
}

export const cleanDocument = (id, document) => cleanConversation(document, id, (message) => (ID.test(message) ? message : null));

// What is on its way belongs to the tab that has it, until it is over.
export function toDocument(conversation, messages) {
    const {title, created, updated, changed, settings} = conversation;
    const over = messages.filter((m) => m.state !== "running").sort((a, b) => a.created - b.created);
    const leaf = messages.find((m) => m.id === conversation.leaf);
    return {title: title.slice(0, 300), created, updated, changed, settings, leaf: leaf && leaf.state === "running" ? leaf.parent : conversation.leaf,
        messages: over.map(({conversation: _, beat, owner, ...message}) => message)};
}
