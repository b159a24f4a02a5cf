// Answers on their way, whatever view is shown: asked for, kept as they come, taken up again after a reload or when the
// server was away. The server gives the same bytes to the same request, so that an answer can be gone on with.
import {isWell, ServerError, stream} from "./api.js";
import {Emitter} from "./emitter.js";
import {newSeed, tabId} from "./ids.js";
import {newMessage, toMessages} from "./conversation.js";
import {claimMessage, putConversation, putMessages} from "./store.js";
import {toRequest} from "./settings.js";

const SAVE_MS = 300, TELL_MS = 40, BEAT_MS = 4000, RATE_MS = 2000, AWAY_MS = 10 * 60 * 1000;

// "change": {id}: the message has more; "end": {message}
export const answers = new Emitter();

const running = new Map();

export const runOf = (id) => running.get(id);
export const isRunning = (id) => running.has(id);
export const runs = () => [...running.values()];

const pause = (ms, signal) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
    }, {once: true});
});

// One answer: the message, and how it comes.
class Run {
    constructor(message, path) {
        this.message = message;
        this.path = path; // the messages before it
        this.controller = new AbortController();
        this.phase = "waiting"; // then "streaming"; "catching up"; "away"
        this.began = performance.now();
        this.recent = []; // [time, tokens] of the last two seconds
        this.saved = 0;
        this.usage = null;
        this.progress = null; // how much of the prompt was read: {total, processed}
        this.before = 0; // tokens of the answer that were there already
    }

    get tokens() {
        return this.before + ((this.usage && this.usage.completion_tokens) || 0);
    }

    // Tokens a second, lately.
    get rate() {
        const first = this.recent[0], last = this.recent.at(-1);
        return first && last[0] > first[0] ? (last[1] - first[1]) / ((last[0] - first[0]) / 1000) : 0;
    }

    // Of all of it, once it is over.
    get meanRate() {
        const {first} = this, last = this.recent.at(-1);
        return first && last[0] > first[0] ? (last[1] - first[1]) / ((last[0] - first[0]) / 1000) : 0;
    }

    count(usage) {
        const now = performance.now();
        this.usage = usage;
        this.first = this.first || [now, this.tokens];
        this.recent.push([now, this.tokens]);
        while (this.recent[0][0] < now - RATE_MS) this.recent.shift();
    }

    // Who shows the answer hears of it some times a second, however fast it comes.
    tell() {
        this.telling = this.telling || setTimeout(() => {
            this.telling = null;
            if (running.get(this.message.id) === this) answers.emit("change", {id: this.message.id});
        }, TELL_MS);
    }

    async save(quietly) {
        if (this.dropped) return;
        this.saved = Date.now();
        this.message.beat = this.saved;
        await putMessages([this.message], quietly);
    }
}

function applyCalls(list, deltas) {
    for (const delta of deltas) {
        const at = delta.index || 0;
        const call = list[at] || (list[at] = {id: "", name: "", arguments: ""});
        if (delta.id) call.id = delta.id;
        if (delta.function && delta.function.name) call.name = delta.function.name;
        if (delta.function && delta.function.arguments) call.arguments += delta.function.arguments;
    }
}

// Puts what comes into `into`: {content, reasoning, calls}.
function apply(into, delta) {
    if (delta.content) into.content += delta.content;
    if (delta.reasoning_content) into.reasoning = (into.reasoning || "") + delta.reasoning_content;
    if (delta.tool_calls) applyCalls(into.calls || (into.calls = []), delta.tool_calls);
}

function bodyOf(run) {
    const {request} = run.message;
    return {...toRequest(request.settings), messages: toMessages(run.path, request.settings.system), stream: true,
        stream_options: {include_usage: true, continuous_usage_stats: true}, return_progress: true};
}

// Has the answer come in pieces; heard(piece) takes each.
async function listen(run, body, heard, signal = run.controller.signal) {
    let finish = null;
    for await (const event of stream("v1/chat/completions", body, signal)) {
        const choice = event.choices && event.choices[0];
        if (event.usage) run.count(event.usage);
        if (event.prompt_progress) run.progress = event.prompt_progress;
        if (event.model) run.message.model = event.model;
        if (choice && choice.delta) heard(choice.delta);
        if (choice && choice.finish_reason) finish = choice.finish_reason;
        if (Date.now() - run.saved > SAVE_MS) run.save(true);
        run.tell();
    }
    return finish;
}

// From the first token.
async function fromTheStart(run) {
    const {message} = run;
    message.prompt_tokens = 0;
    return listen(run, bodyOf(run), (delta) => {
        run.phase = "streaming";
        if (!message.first_ms) message.first_ms = performance.now() - run.began;
        apply(message, delta);
        note(run);
    });
}

function note(run) {
    if (!run.usage) return;
    run.message.tokens = run.tokens;
    if (!run.message.prompt_tokens) run.message.prompt_tokens = run.usage.prompt_tokens;
}

// The prompt and what was answered already as a prompt. Only where that has as many tokens as were counted does the
// answer go on as it would have: a token's chance depends on its place.
async function goOn(run) {
    const {message} = run, had = message.tokens, prompt = message.prompt_tokens;
    const body = {...bodyOf(run), continue_final_message: true};
    body.messages = [...body.messages, {role: "assistant", content: message.content}];
    if (body.max_tokens && (body.max_tokens -= had) < 1) return "length";
    const begun = message.content;
    const other = new AbortController(), {signal} = run.controller;
    signal.addEventListener("abort", () => other.abort(), {once: true});
    let same = true;
    run.before = had;
    try {
        return await listen(run, body, (delta) => {
            if (run.usage && run.usage.prompt_tokens !== prompt + had) {
                same = false;
                other.abort();
            } else if (same) {
                run.phase = "streaming";
                apply(message, delta);
                note(run);
            }
        }, other.signal);
    } catch (error) {
        if ((same && error.status !== 400) || signal.aborted) throw error;
        message.content = begun;
        return null;
    }
}

const isBeginning = (short, long) => (long || "").startsWith(short || "");

// Everything again, shown once it is further than what was there. That it says the same is checked, not believed.
async function catchUp(run) {
    const {message} = run;
    const old = {content: message.content, reasoning: message.reasoning || ""};
    const again = {content: "", reasoning: "", calls: []};
    const weight = (said) => said.content.length + said.reasoning.length;
    run.phase = "catching up";
    run.before = 0;
    run.recent = [];
    run.first = null;
    const take = () => Object.assign(message, {content: again.content, reasoning: again.reasoning, calls: again.calls});
    const finish = await listen(run, bodyOf(run), (delta) => {
        apply(again, delta);
        if (weight(again) < weight(old) && run.phase === "catching up") return;
        if (run.phase === "catching up" && !(isBeginning(old.content, again.content) && isBeginning(old.reasoning, again.reasoning))) {
            message.changed = true;
        }
        run.phase = "streaming";
        take();
        note(run);
    });
    take();
    return finish;
}

async function takeUp(run) {
    const {message} = run;
    const plain = message.content && !message.reasoning && !(message.calls && message.calls.length) && message.tokens &&
        !(message.request.settings.schema || message.request.settings.tools);
    if (!message.content && !message.reasoning) return fromTheStart(run);
    return (plain && await goOn(run)) || catchUp(run);
}

// Until the server answers again, or the user wants no more.
async function waitForServer(run) {
    const {signal} = run.controller;
    run.phase = "away";
    answers.emit("change", {id: run.message.id});
    for (let ms = 500, until = Date.now() + AWAY_MS; Date.now() < until && !signal.aborted; ms = Math.min(ms * 1.5, 5000)) {
        await pause(ms, signal);
        if (!signal.aborted && await isWell()) return true;
    }
    return false;
}

async function answered(run, how) {
    for (;;) {
        try {
            return await how(run);
        } catch (error) {
            const lost = error.broken || error.name === "AbortError" || (error instanceof ServerError && error.status === 0);
            if (run.controller.signal.aborted || !lost || !await waitForServer(run)) throw error;
            run.phase = "waiting";
            how = takeUp;
        }
    }
}

async function carry(run, how) {
    const {message} = run;
    const beat = setInterval(() => run.save(true), BEAT_MS);
    running.set(message.id, run);
    answers.emit("change", {id: message.id});
    try {
        const finish = await answered(run, how);
        message.state = "done";
        message.finish = finish;
        delete message.error;
    } catch (error) {
        message.state = run.controller.signal.aborted ? "stopped" : "failed";
        if (message.state === "failed") message.error = {message: error.message, status: error.status || 0, code: error.code};
    }
    clearInterval(beat);
    running.delete(message.id);
    message.rate = run.meanRate || undefined;
    message.took_ms = performance.now() - run.began;
    message.cached = run.usage && run.usage.prompt_tokens_details && run.usage.prompt_tokens_details.cached_tokens;
    delete message.owner;
    await run.save(false);
    answers.emit("end", {message});
    return message;
}

// Asks for an answer to the last message of `path`. Its settings are the answer's: the conversation's may change.
export async function startAnswer(conversation, path) {
    const last = path.at(-1);
    const settings = {...conversation.settings};
    if (settings.seed === undefined) settings.seed = newSeed();
    const message = newMessage(conversation.id, last ? last.id : null, "assistant",
        {state: "running", owner: tabId(), beat: Date.now(), request: {settings}});
    conversation.leaf = message.id;
    conversation.updated = Date.now();
    const run = new Run(message, path);
    running.set(message.id, run);
    await putMessages([message], true);
    await putConversation(conversation);
    return {message, done: carry(run, fromTheStart)};
}

// Goes on with an answer that was stopped, cut or left; not if another tab has it.
export async function resumeAnswer(id, path, wasLeft) {
    if (running.has(id)) return null;
    const mine = tabId();
    const message = await claimMessage(id, (m) => {
        const left = m.owner === mine || Date.now() - (m.beat || 0) > 2 * BEAT_MS;
        if (wasLeft && (m.state !== "running" || !left)) return false;
        if (m.finish === "length") delete m.request.settings.max_tokens; // more is wanted
        delete m.finish;
        m.state = "running";
        m.owner = mine;
        m.beat = Date.now();
        return true;
    });
    if (!message) return null;
    const run = new Run(message, path);
    return {message, done: carry(run, takeUp)};
}

export function stopAnswer(id) {
    const run = running.get(id);
    if (run) run.controller.abort();
}

// Ends answers whose message is deleted: nothing of them is kept any more.
export function dropAnswers(isDeleted) {
    for (const run of running.values()) {
        if (!isDeleted(run.message)) continue;
        run.dropped = true;
        run.controller.abort();
    }
}

// The same request once more, beside the conversation: whether it says the same.
export async function sameAgain(message, path) {
    const run = new Run({...message, content: "", reasoning: "", calls: []}, path);
    run.save = async () => {};
    const again = {content: "", reasoning: "", calls: []};
    const body = bodyOf(run);
    await listen(run, body, (delta) => apply(again, delta));
    return {same: again.content === message.content && again.reasoning === (message.reasoning || ""), again};
}
