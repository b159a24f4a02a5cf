// Conversations out of this browser and into it: JSON with all branches, Markdown of the branch that is shown.
import {loadConversation, textOf} from "./conversation.js";
import {newId} from "./ids.js";
import {t} from "./i18n.js";
import {fileName, saveFile} from "./save.js";
import {cleanSettings} from "./settings.js";
import {listConversations, putConversation, putMessages} from "./store.js";
import {say} from "./toast.js";

const FORMAT = "gyr-conversations", ROLES = ["user", "assistant", "tool"];

export async function exportJson(ids) {
    const wanted = ids || (await listConversations()).map((c) => c.id);
    const conversations = [];
    for (const id of wanted) {
        const {conversation, tree} = await loadConversation(id);
        conversations.push({...conversation, messages: [...tree.byId.values()]});
    }
    if (!conversations.length) return say(t("export.none"));
    const name = conversations.length === 1 ? fileName(conversations[0].title, "json") : "conversations.json";
    saveFile(name, JSON.stringify({format: FORMAT, version: 1, conversations}, null, 1), "application/json");
    return undefined;
}

export async function exportMarkdown(id) {
    const {conversation, tree} = await loadConversation(id);
    const parts = tree.path(conversation.leaf).map((m) => `## ${t("role." + m.role)}\n\n${textOf(m)}`);
    saveFile(fileName(conversation.title, "md"), `# ${conversation.title}\n\n${parts.join("\n\n")}\n`, "text/markdown;charset=utf-8");
}

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

// A message of a file that anybody may have written: what is known of it, of the right type, and nothing else.
function cleanMessage(m, conversation, names) {
    const clean = {id: names.get(m.id), conversation, parent: names.get(m.parent) || null, role: m.role,
        content: text(m.content), created: when(m.created)};
    if (m.role === "user") clean.files = cleanFiles(m.files);
    if (m.role === "tool") clean.call = text(m.call, 200);
    if (m.role !== "assistant") return clean;
    Object.assign(clean, {reasoning: text(m.reasoning), calls: cleanCalls(m.calls), model: text(m.model, 300),
        state: ["done", "stopped"].includes(m.state) ? m.state : "stopped", finish: text(m.finish, 40) || undefined,
        tokens: whole(m.tokens), prompt_tokens: whole(m.prompt_tokens), rate: whole(m.rate), first_ms: whole(m.first_ms),
        cached: whole(m.cached)});
    clean.request = {settings: cleanSettings(m.request && m.request.settings)};
    return clean;
}

// All ids are made anew: what is imported replaces nothing.
function cleanConversation(c) {
    if (!c || typeof c !== "object" || !Array.isArray(c.messages)) throw new Error("conversations: no messages");
    const id = newId(), right = c.messages.filter((m) => m && typeof m.id === "string" && ROLES.includes(m.role));
    const names = new Map(right.map((m) => [m.id, newId()]));
    const messages = right.map((m) => cleanMessage(m, id, names));
    return {messages, conversation: {id, title: text(c.title, 300), created: when(c.created), updated: when(c.updated),
        leaf: names.get(c.leaf) || null, settings: cleanSettings(c.settings)}};
}

export async function importFile(file) {
    try {
        const {format, conversations} = JSON.parse(await file.text()) || {};
        if (format !== FORMAT || !Array.isArray(conversations)) throw new Error(`format: not "${FORMAT}"`);
        const clean = conversations.map(cleanConversation);
        for (const {conversation, messages} of clean) {
            await putMessages(messages, true);
            await putConversation(conversation);
        }
        say(t("import.done", {count: clean.length}));
    } catch (error) {
        say(t("import.wrong", {name: file.name, why: error.message}), "error");
    }
}
