// Conversations of who has a key are on the server, too, and so on every device of theirs. A conversation is one
// document with a version: what was changed here is sent if the server still has the version that was changed, what was
// changed elsewhere is fetched, and what was changed in both places is put together, so that neither is lost.
import {account, who} from "./account.js";
import {request, server, ServerError} from "./api.js";
import {Emitter} from "./emitter.js";
import {cleanDocument, toDocument} from "./document.js";
import {t} from "./i18n.js";
import {dropNote, getConversation, getNote, listConversations, listNotes, messagesOf, replaceConversation, settleNote, store} from "./store.js";
import {say} from "./toast.js";

const PATH = "v1/conversations", SOON_MS = 1000, EACH_MS = 15000, TRIES = 4;

export const sync = new Emitter(); // "change": of syncState()

const state = {name: "off", busy: null, again: false, timer: null, tag: null, account: ""}; // account: whose round it is, whatever key comes meanwhile

// "off": there is no key; "done", "working"; "away": what is new here is sent once the server answers; "failed"
export const syncState = () => state.name;

function become(name) {
    if (state.name === name) return;
    state.name = name;
    sync.emit("change");
}

const isRunning = (message) => message.state === "running";

// ---- one conversation

async function fetched(id) {
    const {version, document} = await (await request(`${PATH}/${id}`, {quiet: true})).json();
    return {version, ...cleanDocument(id, document)};
}

// Which of two that were both changed: an answer that is complete, else the longer one.
function better(here, there) {
    const done = (m) => (m.state === "done" || m.role !== "assistant" ? 1 : 0);
    const weight = (m) => (m.content || "").length + (m.reasoning || "").length;
    if (done(here) !== done(there)) return done(here) > done(there) ? here : there;
    return weight(there) > weight(here) ? there : here;
}

function together(here, there, messages) {
    const byId = new Map(there.messages.map((m) => [m.id, m]));
    for (const m of messages) byId.set(m.id, byId.has(m.id) && !isRunning(m) ? better(m, byId.get(m.id)) : m);
    const newer = (here.changed || 0) >= (there.conversation.changed || 0) ? here : there.conversation;
    return {conversation: {...newer, account: state.account}, messages: [...byId.values()], gone: []};
}

// What the server has, here.
async function pull(id) {
    const note = await getNote(id), here = await getConversation(id), there = await fetched(id);
    const messages = here ? await messagesOf(id) : [];
    const values = {version: there.version, account: state.account, deleted: false, refused: null};
    if (here && (note.mark || !note.version)) {
        return replaceConversation(id, together(here, there, messages), note, {...values, mark: note.mark || "merged"});
    }
    const kept = new Set(there.messages.map((m) => m.id));
    const gone = messages.filter((m) => !kept.has(m.id) && !isRunning(m)).map((m) => m.id);
    const running = messages.find(isRunning);
    const conversation = {...there.conversation, account: state.account, ...(running ? {leaf: here.leaf} : {})};
    return replaceConversation(id, {conversation, messages: there.messages, gone}, note, {...values, mark: null});
}

// What is here, on the server. False: the server has another version than was changed.
async function push(id) {
    const note = await getNote(id), here = await getConversation(id);
    if (!here || note.refused === (note.mark || "new")) return true;
    const condition = note.version && note.account === state.account ? {"If-Match": `"${note.version}"`} : {"If-None-Match": "*"};
    const body = JSON.stringify(toDocument(here, await messagesOf(id)));
    try {
        const {version} = await (await request(`${PATH}/${id}`, {method: "PUT", body, headers: condition, quiet: true})).json();
        const mine = {version, account: state.account, refused: null};
        if (here.account !== state.account) {
            await replaceConversation(id, {conversation: {...here, account: state.account}, messages: [], gone: []}, note, {...mine, mark: null});
        } else if (!await settleNote(id, note.mark, {...mine, mark: null})) {
            const now = await getNote(id); // it was changed meanwhile: that is sent next
            await settleNote(id, now.mark, mine);
        }
        return true;
    } catch (error) {
        if (error.status === 412) return false;
        if (error.status === 404) { // deleted elsewhere, and changed here: it is kept
            await settleNote(id, note.mark, {version: 0});
            return false;
        }
        if (error.status !== 413) throw error;
        await settleNote(id, note.mark, {refused: note.mark || "new"});
        say(t("sync.tooLarge", {title: here.title || t("chat.untitled")}), "error");
        return true;
    }
}

async function pushOrMerge(id) {
    for (let tries = 0; tries < TRIES; tries += 1) {
        if (await push(id)) return;
        const note = await getNote(id);
        if (note.version || note.version === undefined) await pull(id);
    }
}

async function deleteThere(note) {
    if (note.version && note.account === state.account) {
        try {
            await request(`${PATH}/${note.id}`, {method: "DELETE", headers: {"If-Match": `"${note.version}"`}, quiet: true});
        } catch (error) {
            if (error.status !== 404 && error.status !== 412) throw error; // 412: it was gone on with elsewhere, and comes back
        }
    }
    await dropNote(note.id);
}

// ---- all

async function listed(tag) {
    const reply = await request(PATH, {headers: tag ? {"If-None-Match": tag} : {}, quiet: true});
    if (reply.status === 304) return null;
    const {data} = await reply.json();
    state.tag = reply.headers.get("ETag");
    return new Map(data.map((item) => [item.id, item.version]));
}

const isOurs = (note) => !note.account || note.account === state.account;

async function round() {
    const notes = new Map((await listNotes()).map((note) => [note.id, note]));
    const here = (await listConversations()).map((c) => c.id);
    const deleted = [...notes.values()].filter((note) => note.deleted && isOurs(note));
    const changed = here.filter((id) => !notes.has(id) || notes.get(id).mark || notes.get(id).account !== state.account);
    if (deleted.length || changed.length) become("working");
    const there = await listed(deleted.length || changed.length ? null : state.tag);
    if (!there) return;
    for (const note of deleted) {
        await deleteThere(note);
        if (there.get(note.id) === note.version) there.delete(note.id);
        notes.delete(note.id);
    }
    for (const [id, version] of there) if ((notes.get(id) || {}).version !== version || !here.includes(id)) await pull(id);
    for (const id of here) {
        if (who().id !== state.account) return; // the rest is another round's
        const note = await getNote(id);
        if (there.has(id) ? note.mark : note.mark || note.account !== state.account || !note.version) await pushOrMerge(id);
        else if (!there.has(id)) await replaceConversation(id, {conversation: null, messages: [], gone: (await messagesOf(id)).map((m) => m.id)}, note, {});
    }
}

async function run() {
    if (!who().keeps) return become("off");
    state.account = who().id;
    try {
        do {
            state.again = false;
            await round();
        } while (state.again);
        become("done");
    } catch (error) {
        state.tag = null;
        become(error instanceof ServerError && error.status ? "failed" : "away");
    }
    return undefined;
}

// One after the other, whoever asks; of several tabs, too, where the browser can.
function syncNow() {
    clearTimeout(state.timer);
    if (state.busy) {
        state.again = true;
        return;
    }
    const alone = navigator.locks ? navigator.locks.request("gyr-sync", run) : run();
    state.busy = alone.finally(() => {
        state.busy = null;
        state.timer = setTimeout(() => (document.hidden ? null : syncNow()), EACH_MS);
    });
}

function soon() {
    if (!who().keeps) return;
    clearTimeout(state.timer);
    state.timer = setTimeout(syncNow, SOON_MS);
}

// What an account has on the server, out of this browser: its key was forgotten.
export async function clearSynced(id) {
    await state.busy;
    for (const note of await listNotes()) {
        if (note.account !== id || note.mark || note.deleted) continue;
        const gone = (await messagesOf(note.id)).map((m) => m.id);
        await replaceConversation(note.id, {conversation: null, messages: [], gone}, note, {});
    }
}

export function startSync() {
    store.on("change", ({elsewhere}) => (elsewhere ? null : soon()));
    server.on("reached", () => (state.name === "away" ? soon() : null));
    account.on("change", () => {
        state.tag = null;
        syncNow();
    });
    document.addEventListener("visibilitychange", () => (document.hidden ? null : syncNow()));
    syncNow();
}
