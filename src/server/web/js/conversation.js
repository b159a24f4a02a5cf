// Conversations: made, asked on, changed. Messages as the server wants them.
import {who} from "./account.js";
import {newId} from "./ids.js";
import {getConversation, messagesOf, putConversation, putMessages} from "./store.js";
import {cleanSettings, defaultSettings} from "./settings.js";
import {Tree} from "./tree.js";

const TITLE_LENGTH = 60;

export function newConversation(settings) {
    const now = Date.now();
    return {id: newId(), title: "", created: now, updated: now, leaf: null, settings: settings || defaultSettings(),
        account: who().id || undefined};
}

export function newMessage(conversation, parent, role, more) {
    return {id: newId(), conversation, parent: parent || null, role, content: "", created: Date.now(), ...more};
}

export async function loadConversation(id) {
    const conversation = await getConversation(id);
    if (!conversation) return null;
    const tree = new Tree(await messagesOf(id));
    if (!tree.byId.has(conversation.leaf)) conversation.leaf = tree.lastLeaf();
    conversation.settings = cleanSettings(conversation.settings);
    return {conversation, tree};
}

function titleOf(text) {
    const line = text.trim().split("\n")[0].replace(/\s+/g, " ");
    return [...line].length > TITLE_LENGTH ? [...line].slice(0, TITLE_LENGTH - 1).join("") + "…" : line;
}

// What the user says, after a message (null: as the first).
export async function addUserMessage(conversation, parent, content, files) {
    const message = newMessage(conversation.id, parent, "user", {content, files: files || []});
    if (!conversation.title) conversation.title = titleOf(content || (files && files[0] && files[0].name) || "");
    conversation.leaf = message.id;
    conversation.updated = Date.now();
    await putMessages([message], true);
    await putConversation(conversation);
    return message;
}

// A file's text in a prompt: with a fence that it does not have itself.
function fenced(file) {
    const longest = Math.max(2, ...(file.text.match(/`{3,}/g) || []).map((run) => run.length));
    const fence = "`".repeat(longest + 1);
    return `${file.name}\n${fence}\n${file.text}\n${fence}`;
}

export function textOf(message) {
    const files = (message.files || []).map(fenced);
    return [...files, message.content].filter(Boolean).join("\n\n");
}

function toServer(message) {
    if (message.role === "tool") return {role: "tool", content: message.content, tool_call_id: message.call || ""};
    if (message.role === "user") return {role: "user", content: textOf(message)};
    const said = {role: "assistant", content: message.content};
    if (message.calls && message.calls.length) {
        said.tool_calls = message.calls.map((call) => ({id: call.id, type: "function",
            function: {name: call.name, arguments: call.arguments}}));
    }
    return said;
}

export function toMessages(path, system) {
    const said = path.filter((m) => m.role !== "assistant" || m.content || (m.calls && m.calls.length)).map(toServer);
    return system && system.trim() ? [{role: "system", content: system}, ...said] : said;
}
