// Conversations and their messages, in IndexedDB; in memory alone where there is none, or where it is full: nothing is
// lost then while the page is open, and the page says so.
import {Emitter} from "./emitter.js";
import {newId} from "./ids.js";

const NAME = "gyr", VERSION = 1;

// "change": {conversation}, here or in another tab; "trouble": why things are kept in memory alone
export const store = new Emitter();

const memory = {conversations: new Map(), messages: new Map()}; // what the database could not take
const self = {db: null, channel: null, from: newId()};

function asked(request) {
    return new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

function completed(transaction) {
    return new Promise((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error || new Error("aborted"));
        transaction.onerror = () => reject(transaction.error);
    });
}

function trouble(error) {
    const full = error && error.name === "QuotaExceededError";
    store.emit("trouble", {full, message: String((error && error.message) || error)});
}

export async function openStore() {
    if (typeof BroadcastChannel !== "undefined") {
        self.channel = new BroadcastChannel("gyr");
        self.channel.onmessage = ({data}) => {
            if (data && data.from !== self.from) store.emit("change", {conversation: data.conversation, elsewhere: true});
        };
    }
    try {
        const opening = indexedDB.open(NAME, VERSION);
        opening.onupgradeneeded = () => {
            opening.result.createObjectStore("conversations", {keyPath: "id"});
            opening.result.createObjectStore("messages", {keyPath: "id"}).createIndex("conversation", "conversation");
        };
        self.db = await asked(opening);
        self.db.onversionchange = () => self.db.close();
    } catch (error) {
        self.db = null;
        trouble(error);
    }
}

function tell(conversation) {
    store.emit("change", {conversation});
    if (self.channel) self.channel.postMessage({conversation, from: self.from});
}

async function save(name, values) {
    if (self.db) {
        try {
            const transaction = self.db.transaction(name, "readwrite");
            for (const value of values) transaction.objectStore(name).put(value);
            await completed(transaction);
            for (const value of values) memory[name].delete(value.id);
            return;
        } catch (error) {
            trouble(error);
        }
    }
    for (const value of values) memory[name].set(value.id, structuredClone(value));
}

// Where memory has it, it is newer.
async function all(name, index, key) {
    let found = [];
    if (self.db) {
        const objects = self.db.transaction(name).objectStore(name);
        found = await asked(index ? objects.index(index).getAll(key) : objects.getAll());
    }
    const kept = [...memory[name].values()].filter((value) => !index || value[index] === key);
    const newer = new Set(kept.map((value) => value.id));
    return [...found.filter((value) => !newer.has(value.id)), ...structuredClone(kept)];
}

async function one(name, id) {
    if (memory[name].has(id)) return structuredClone(memory[name].get(id));
    return self.db ? asked(self.db.transaction(name).objectStore(name).get(id)) : undefined;
}

async function remove(name, ids) {
    for (const id of ids) memory[name].delete(id);
    if (!self.db || !ids.length) return;
    const transaction = self.db.transaction(name, "readwrite");
    for (const id of ids) transaction.objectStore(name).delete(id);
    await completed(transaction);
}

export async function listConversations() {
    return (await all("conversations")).sort((a, b) => b.updated - a.updated);
}

export const getConversation = (id) => one("conversations", id);
export const getMessage = (id) => one("messages", id);
export const messagesOf = (conversation) => all("messages", "conversation", conversation);

export async function putConversation(conversation) {
    await save("conversations", [conversation]);
    tell(conversation.id);
}

// quietly: who else shows the conversation sees it with the next that is not
export async function putMessages(messages, quietly) {
    await save("messages", messages);
    if (!quietly) for (const id of new Set(messages.map((m) => m.conversation))) tell(id);
}

export const removeMessages = (ids) => remove("messages", ids);

export async function deleteConversation(id) {
    const messages = await messagesOf(id);
    await remove("messages", messages.map((m) => m.id));
    await remove("conversations", [id]);
    tell(id);
}

// Changes a message as it is in the database now; change(message) says whether. No other tab comes in between.
export async function claimMessage(id, change) {
    if (!self.db || memory.messages.has(id)) {
        const value = await one("messages", id);
        if (!value || !change(value)) return null;
        memory.messages.set(id, structuredClone(value));
        return value;
    }
    const transaction = self.db.transaction("messages", "readwrite");
    const objects = transaction.objectStore("messages");
    const value = await asked(objects.get(id));
    const changed = Boolean(value) && change(value);
    if (changed) objects.put(value);
    await completed(transaction);
    return changed ? value : null;
}

// Each message of all, without holding all of them: visit(message) gives false to end it.
export function eachMessage(visit) {
    for (const message of memory.messages.values()) if (visit(message) === false) return Promise.resolve();
    if (!self.db) return Promise.resolve();
    return new Promise((resolve, reject) => {
        const cursor = self.db.transaction("messages").objectStore("messages").openCursor(null, "prev");
        cursor.onerror = () => reject(cursor.error);
        cursor.onsuccess = () => {
            const at = cursor.result;
            if (!at || visit(at.value) === false) resolve();
            else at.continue();
        };
    });
}
