// Conversations and their messages, in IndexedDB; in memory alone where there is none, or where it is full: nothing is
// lost then while the page is open, and the page says so. Of each conversation a note says whether the server has it as
// it is here (sync.js).
import {Emitter} from "./emitter.js";
import {newId} from "./ids.js";

const NAME = "gyr", VERSION = 2;
const NAMES = ["conversations", "messages", "notes"];

// "change": {conversation}, here or in another tab; "trouble": why things are kept in memory alone
export const store = new Emitter();

const memory = {conversations: new Map(), messages: new Map(), notes: new Map()}; // what the database could not take
const self = {db: null, channel: null, from: newId(), account: ""};

function asked(request) {
    return new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

function completed(transaction) {
    const end = new Promise((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error || new Error("aborted"));
        transaction.onerror = () => reject(transaction.error);
    });
    end.catch(() => {}); // who waits for it hears of it; that nobody does yet is no fault
    return end;
}

function trouble(error) {
    const full = error && error.name === "QuotaExceededError";
    store.emit("trouble", {full, message: String((error && error.message) || error)});
}

function upgrade(db) {
    const there = db.objectStoreNames;
    if (!there.contains("conversations")) db.createObjectStore("conversations", {keyPath: "id"});
    if (!there.contains("messages")) db.createObjectStore("messages", {keyPath: "id"}).createIndex("conversation", "conversation");
    if (!there.contains("notes")) db.createObjectStore("notes", {keyPath: "id"});
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
        opening.onupgradeneeded = () => upgrade(opening.result);
        self.db = await asked(opening);
        self.db.onversionchange = () => { // a newer page wants to change it
            self.db.close();
            self.db = null;
            trouble(new Error("a newer version of this page is open in another tab: load this one again"));
        };
    } catch (error) {
        self.db = null;
        trouble(error);
    }
}

// Whose conversations are shown: those of this account, and those that nobody's account has yet.
export function setAccount(id) {
    self.account = id || "";
}

const isShown = (conversation) => !conversation.account || conversation.account === self.account;

function tell(conversation, elsewhere) {
    store.emit("change", {conversation, elsewhere});
    if (self.channel) self.channel.postMessage({conversation, from: self.from});
}

// The note that a conversation is not as the server has it. `mark` is another one with each change.
const marked = (note, id, more) => ({...note, id, mark: newId(), ...more});

async function mark(objects, ids, more) {
    for (const id of ids) objects.put(marked(await asked(objects.get(id)), id, more));
}

function markInMemory(ids, more) {
    for (const id of ids) memory.notes.set(id, marked(memory.notes.get(id), id, more));
}

// quietly: it is marked with the next that is not
async function save(name, values, ids) {
    if (self.db) {
        try {
            const transaction = self.db.transaction([name, "notes"], "readwrite"), done = completed(transaction);
            for (const value of values) transaction.objectStore(name).put(value);
            await mark(transaction.objectStore("notes"), ids);
            await done;
            for (const value of values) memory[name].delete(value.id);
            for (const id of ids) memory.notes.delete(id);
            return;
        } catch (error) {
            trouble(error);
        }
    }
    for (const value of values) memory[name].set(value.id, structuredClone(value));
    markInMemory(ids);
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

// Of a conversation: those with these ids, and itself, if `whole`.
async function remove(conversation, ids, whole, more) {
    for (const id of ids) memory.messages.delete(id);
    if (whole) memory.conversations.delete(conversation);
    if (!self.db) return markInMemory([conversation], more);
    const transaction = self.db.transaction(NAMES, "readwrite"), done = completed(transaction);
    for (const id of ids) transaction.objectStore("messages").delete(id);
    if (whole) transaction.objectStore("conversations").delete(conversation);
    await mark(transaction.objectStore("notes"), [conversation], more);
    memory.notes.delete(conversation);
    return done;
}

export async function listConversations() {
    return (await all("conversations")).filter(isShown).sort((a, b) => b.updated - a.updated);
}

export async function getConversation(id) {
    const found = await one("conversations", id);
    return found && isShown(found) ? found : undefined;
}

export const getMessage = (id) => one("messages", id);
export const messagesOf = (conversation) => all("messages", "conversation", conversation);

export async function putConversation(conversation) {
    conversation.changed = Date.now();
    await save("conversations", [conversation], [conversation.id]);
    tell(conversation.id);
}

// quietly: who else shows the conversation sees it with the next that is not
export async function putMessages(messages, quietly) {
    const ids = quietly ? [] : [...new Set(messages.map((m) => m.conversation))];
    await save("messages", messages, ids);
    for (const id of ids) tell(id);
}

export const removeMessages = (conversation, ids) => remove(conversation, ids, false);

export async function deleteConversation(id) {
    const messages = await messagesOf(id);
    await remove(id, messages.map((m) => m.id), true, {deleted: true});
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
    const transaction = self.db.transaction("messages", "readwrite"), done = completed(transaction);
    const objects = transaction.objectStore("messages");
    const value = await asked(objects.get(id));
    const changed = Boolean(value) && change(value);
    if (changed) objects.put(value);
    await done;
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

// ---- for sync.js

// {id, mark, version, account, deleted, refused}: mark: it was changed since the server had that version
export const listNotes = () => all("notes");

export async function getNote(id) {
    return (await one("notes", id)) || {id};
}

// Changes a note if nothing was changed since it was read.
export async function settleNote(id, mark, values) {
    const fits = (note) => ((note && note.mark) || "") === (mark || "");
    if (!self.db || memory.notes.has(id)) {
        if (!fits(memory.notes.get(id))) return false;
        memory.notes.set(id, {...memory.notes.get(id), ...values, id});
        return true;
    }
    const transaction = self.db.transaction("notes", "readwrite"), done = completed(transaction);
    const objects = transaction.objectStore("notes"), note = await asked(objects.get(id)), right = fits(note);
    if (right) objects.put({...note, ...values, id});
    await done;
    return right;
}

export async function dropNote(id) {
    memory.notes.delete(id);
    if (!self.db) return;
    const transaction = self.db.transaction("notes", "readwrite");
    transaction.objectStore("notes").delete(id);
    await completed(transaction);
}

// What the server has of a conversation, in place of what is here; `gone`: messages that it has not. conversation null:
// it has none any more. False: somebody has changed it here since the note was read.
export async function replaceConversation(id, {conversation, messages, gone}, note, values) {
    if (!self.db || memory.notes.has(id)) {
        if (!await settleNote(id, note.mark, values)) return false;
        for (const message of messages) memory.messages.set(message.id, message);
        for (const each of gone) memory.messages.delete(each);
        if (conversation) memory.conversations.set(id, conversation);
        else memory.conversations.delete(id);
    } else {
        const transaction = self.db.transaction(NAMES, "readwrite"), done = completed(transaction);
        const [conversations, all, notes] = NAMES.map((name) => transaction.objectStore(name));
        const now = await asked(notes.get(id));
        const right = ((now && now.mark) || "") === (note.mark || "");
        if (right) {
            if (conversation) conversations.put(conversation);
            else conversations.delete(id);
            for (const message of messages) all.put(message);
            for (const each of gone) all.delete(each);
            if (conversation) notes.put({...now, ...values, id});
            else notes.delete(id);
        }
        await done;
        if (!right) return false;
    }
    tell(id, true);
    return true;
}
