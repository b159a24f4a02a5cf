// Looking for words in all conversations.
import {eachMessage, listConversations} from "./store.js";

const MAX_FOUND = 100, AROUND = 50;

function snippet(text, at, size) {
    const from = Math.max(0, at - AROUND), to = Math.min(text.length, at + size + AROUND);
    return {before: (from ? "…" : "") + text.slice(from, at), found: text.slice(at, at + size),
        after: text.slice(at + size, to) + (to < text.length ? "…" : "")};
}

// [{conversation, message, snippet}], a conversation once; null: another search has begun (isOver()).
export async function search(words, isOver) {
    const wanted = words.trim().toLocaleLowerCase();
    const found = new Map(), known = new Map((await listConversations()).map((c) => [c.id, c]));
    for (const conversation of known.values()) {
        if (conversation.title.toLocaleLowerCase().includes(wanted)) found.set(conversation.id, {conversation});
    }
    await eachMessage((message) => {
        if (isOver() || found.size >= MAX_FOUND) return false;
        const conversation = known.get(message.conversation), before = found.get(message.conversation);
        if (!conversation || (before && before.message)) return true;
        const at = (message.content || "").toLocaleLowerCase().indexOf(wanted);
        if (at >= 0) found.set(conversation.id, {conversation, message: message.id, snippet: snippet(message.content, at, wanted.length)});
        return true;
    });
    return isOver() ? null : [...found.values()].sort((a, b) => b.conversation.updated - a.conversation.updated);
}
