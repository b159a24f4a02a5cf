// Conversations out of this browser and into it: JSON with all branches, Markdown of the branch that is shown.
import {loadConversation, textOf} from "./conversation.js";
import {cleanConversation} from "./document.js";
import {newId} from "./ids.js";
import {t} from "./i18n.js";
import {fileName, saveFile} from "./save.js";
import {listConversations, putConversation, putMessages} from "./store.js";
import {say} from "./toast.js";

const FORMAT = "gyr-conversations";

export async function exportJson(ids) {
    const wanted = ids || (await listConversations()).map((c) => c.id);
    const conversations = [];
    for (const id of wanted) {
        const {conversation: {account, ...conversation}, tree} = await loadConversation(id);
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

export async function importFile(file) {
    try {
        const {format, conversations} = JSON.parse(await file.text()) || {};
        if (format !== FORMAT || !Array.isArray(conversations)) throw new Error(`format: not "${FORMAT}"`);
        // all ids are made anew: what is imported replaces nothing
        const clean = conversations.map((c) => cleanConversation(c, newId(), () => newId()));
        for (const {conversation, messages} of clean) {
            await putMessages(messages, true);
            await putConversation(conversation);
        }
        say(t("import.done", {count: clean.length}));
    } catch (error) {
        say(t("import.wrong", {name: file.name, why: error.message}), "error");
    }
}
