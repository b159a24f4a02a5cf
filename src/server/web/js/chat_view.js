// The chat: one conversation, its messages and where the next is written.
import {account, who} from "./account.js";
import {answers, dropAnswers, isRunning, resumeAnswer, runOf, sameAgain, startAnswer, stopAnswer} from "./answers.js";
import {catalog, chooseModel, modelOf, models} from "./catalog.js";
import {conversationItems} from "./chat_menu.js";
import {copyText} from "./clipboard.js";
import {Composer} from "./composer.js";
import {addUserMessage, loadConversation, newConversation, newMessage} from "./conversation.js";
import {difference} from "./difference.js";
import {fill, h, iconButton} from "./dom.js";
import {confirmed} from "./dialog.js";
import {bytes, number, t} from "./i18n.js";
import {menuButton} from "./menu.js";
import {MessageList} from "./message_list.js";
import {MessageView} from "./message_view.js";
import {editSettings} from "./settings_dialog.js";
import {getMessage, messagesOf, putConversation, putMessages, removeMessages, store} from "./store.js";
import {say} from "./toast.js";
import {Tree} from "./tree.js";
import {visible} from "./visible.js";
import {Waiting} from "./waiting.js";

// go(hash): shows another view
export class ChatView {
    constructor(id, go) {
        this.id = id;
        this.go = go;
        this.views = new Map();
        this.ends = [];
        this.waiting = new Waiting(() => this.progress());
        this.build();
        this.ends.push(answers.on("change", ({id: changed}) => this.onAnswer(changed)),
            answers.on("end", ({message}) => this.onEnd(message)),
            catalog.on("change", () => this.showModel()),
            account.on("change", () => this.onAccount()),
            store.on("change", (change) => this.onStored(change)));
        this.load();
    }

    build() {
        this.head = h("header", {class: "chat-head"});
        this.column = h("div", {class: "column"});
        this.scroller = h("section", {class: "scroller", "aria-label": t("chat.messages"), tabIndex: -1}, this.column);
        this.down = iconButton("down", t("chat.toEnd"), () => this.list.toEnd(), {class: "icon-button to-end", hidden: true});
        this.news = h("div", {class: "off-screen", role: "status", "aria-live": "polite"});
        this.composer = new Composer({send: (text, files) => this.send(text, files), stop: () => this.stop()});
        this.element = h("div", {class: "chat"}, this.head, this.scroller, this.down, this.composer.element, this.news);
        this.list = new MessageList(this.scroller, this.column);
        this.list.onAtEnd = (at) => {
            this.down.hidden = at;
        };
    }

    async load() {
        const found = await (this.id ? loadConversation(this.id) : null); // and the view is in the page
        if (this.closed) return;
        this.missing = Boolean(this.id) && !found;
        this.conversation = found ? found.conversation : newConversation();
        this.tree = found ? found.tree : new Tree([]);
        this.composer.open(this.id);
        this.showModel();
        this.show();
        this.list.toEnd();
        if (!this.narrow()) this.composer.focus();
        this.takeUpLeft();
    }

    narrow() {
        return matchMedia("(max-width: 760px)").matches;
    }

    path() {
        return this.tree.path(this.conversation.leaf);
    }

    leaf() {
        return this.tree.byId.get(this.conversation.leaf);
    }

    running() {
        return Boolean(this.conversation.leaf) && isRunning(this.conversation.leaf);
    }

    // An answer that a reload cut goes on.
    async takeUpLeft() {
        const leaf = this.leaf();
        if (!leaf || leaf.role !== "assistant" || leaf.state !== "running" || isRunning(leaf.id)) return;
        const run = await resumeAnswer(leaf.id, this.path().slice(0, -1), true);
        if (run) this.follow(run);
        else if (!this.closed) setTimeout(() => this.lookAgain(leaf.id), 5000); // another tab has it, or had
    }

    async lookAgain(id) {
        const now = !this.closed && await getMessage(id);
        if (!now) return;
        this.tree.byId.set(id, now);
        this.show();
        this.takeUpLeft();
    }

    // ---- showing

    show() {
        const path = this.path();
        const doing = this.doing();
        this.list.set(path.map((message) => {
            const known = this.views.get(message.id);
            if (known) {
                if (known.message !== message) known.update(message);
                return known;
            }
            const view = new MessageView(message, doing);
            this.views.set(message.id, view);
            return view;
        }));
        for (const [id, view] of this.views) if (!path.includes(view.message)) this.views.delete(id);
        this.showHead();
        this.showEmpty(path);
        this.composer.setRunning(this.running());
        document.title = this.conversation.title ? `${visible(this.conversation.title)} · ${t("app.name")}` : t("app.name");
    }

    showEmpty(path) {
        const model = modelOf(this.conversation.settings);
        this.element.classList.toggle("empty", !path.length);
        if (this.welcome) this.welcome.remove();
        this.welcome = null;
        if (path.length) return;
        const words = this.missing ? t("chat.gone")
            : model ? t("chat.empty", {model: model.id}) : t("chat.empty.none");
        const note = who().keeps ? t("chat.empty.note.kept", {name: visible(who().name)}) : t("chat.empty.note");
        this.welcome = h("div", {class: "welcome"}, h("h1", {}, words), h("p", {}, note));
        this.scroller.before(this.welcome);
    }

    showModel() {
        if (!this.conversation) return;
        const model = modelOf(this.conversation.settings);
        this.composer.setModel(model && model.id);
        this.showHead();
        this.showEmpty(this.path());
    }

    showHead() {
        if (!this.conversation) return;
        const {conversation} = this, model = modelOf(conversation.settings), some = this.tree.byId.size > 0;
        const state = JSON.stringify([models().map((m) => m.id), model && model.id, conversation.title, some]);
        if (state === this.headState) { // a menu in it may be open
            this.showMeter();
            return;
        }
        this.headState = state;
        const choice = h("select", {class: "model-choice", "aria-label": t("chat.model"), onchange: () => this.chooseModel(choice.value)},
            models().map((m) => h("option", {value: m.id, selected: Boolean(model) && m.id === model.id}, m.id)));
        if (!models().length) choice.append(h("option", {}, t("chat.model.none")));
        this.meter = h("div", {class: "meter"});
        fill(this.head, choice, h(some ? "h1" : "div", {class: "chat-title"}, h("bdi", {}, visible(conversation.title))), this.meter,
            iconButton("settings", t("chat.settings"), () => this.editSettings()),
            some ? menuButton("more", t("chat.menu"), () => conversationItems(conversation, () => this.go("#/new"))) : null);
        this.showMeter();
    }

    showMeter() {
        const model = modelOf(this.conversation.settings), all = model && model.max_model_len;
        const last = this.path().filter((m) => m.role === "assistant" && m.prompt_tokens).at(-1);
        if (!all || !last) {
            fill(this.meter);
            return;
        }
        const used = Math.min(all, (last.prompt_tokens || 0) + (last.tokens || 0)), part = used / all;
        const label = t("chat.context", {used: number(used), all: number(all)});
        if (!this.meter.firstChild) {
            fill(this.meter, h("div", {role: "meter", class: "meter-bar", "aria-valuemin": "0"}, h("span", {})), h("span", {class: "meter-text"}));
        }
        const bar = this.meter.firstChild;
        bar.setAttribute("aria-label", label);
        bar.setAttribute("aria-valuemax", String(all));
        bar.setAttribute("aria-valuenow", String(used));
        bar.classList.toggle("full", part > 0.85);
        bar.firstChild.style.setProperty("inline-size", `${Math.max(2, part * 100)}%`);
        this.meter.title = label;
        this.meter.lastChild.textContent = t("chat.context.short", {percent: number(part * 100, part < 0.1 ? 1 : 0) + "%"});
    }

    progress() {
        const view = this.views.get(this.conversation.leaf);
        if (view && view.shown && this.running()) view.grow();
    }

    // ---- what happens

    onAnswer(id) {
        const run = runOf(id), view = this.views.get(id);
        if (!run || !view) return;
        this.tree.byId.set(id, run.message);
        if (run.phase === "waiting") this.waiting.start();
        else this.waiting.stop();
        view.update(run.message);
        this.composer.setRunningOnce(this.running());
        if (!this.meterAt || performance.now() - this.meterAt > 500) {
            this.meterAt = performance.now();
            this.showMeter();
        }
    }

    onEnd(message) {
        const view = this.views.get(message.id);
        if (!this.conversation || message.conversation !== this.conversation.id) return;
        this.waiting.stop();
        this.tree.byId.set(message.id, message);
        if (view) view.update(message);
        this.composer.setRunning(this.running());
        this.showMeter();
        fill(this.news, t("message.ended"));
        if (!modelOf(this.conversation.settings)) return;
        catalog.emit("ask"); // that it is loaded now, and what its context is
    }

    // Whose conversations are shown is another now.
    async onAccount() {
        if (!this.conversation) return;
        if (!this.tree.byId.size) this.conversation.account = who().id || undefined;
        const is = this.id && await loadConversation(this.id);
        if (this.closed) return;
        if (this.id && !is && !this.missing) this.go("#/new");
        else if (is && this.missing) this.load();
        else this.showModel();
    }

    // Another tab has changed this conversation, or its title was changed.
    async onStored({conversation, elsewhere}) {
        if (!this.conversation || conversation !== this.conversation.id) return;
        const found = await loadConversation(conversation);
        if (this.closed || (!this.tree.byId.size && !this.missing)) return;
        if (this.missing) {
            if (found) this.load();
            return;
        }
        if (!found) {
            this.go("#/new");
            return;
        }
        this.conversation.title = found.conversation.title;
        this.conversation.settings = found.conversation.settings;
        this.conversation.account = found.conversation.account;
        if (elsewhere) {
            for (const message of found.tree.byId.values()) if (!isRunning(message.id)) this.tree.add(message);
            for (const id of [...this.tree.byId.keys()]) if (!found.tree.byId.has(id) && !isRunning(id)) this.tree.byId.delete(id);
            if (!this.running()) this.conversation.leaf = found.conversation.leaf;
        }
        this.show();
    }

    // ---- what the user does

    async send(text, files) {
        const {conversation} = this;
        const isNew = !this.tree.byId.size;
        const message = await addUserMessage(conversation, conversation.leaf, text, files);
        this.tree.add(message);
        if (isNew) this.go("#/c/" + conversation.id, true);
        this.missing = false;
        await this.answer();
    }

    // An answer to what is the leaf now.
    async answer() {
        const model = modelOf(this.conversation.settings);
        if (model && !this.conversation.settings.model) this.conversation.settings.model = model.id;
        const run = await startAnswer(this.conversation, this.path());
        this.follow(run);
    }

    follow({message, done}) {
        this.tree.add(message);
        this.tree.byId.set(message.id, message);
        this.show();
        this.list.toEnd();
        done.catch((error) => say(error.message, "error"));
    }

    stop() {
        if (this.conversation.leaf) stopAnswer(this.conversation.leaf);
    }

    async setLeaf(id) {
        this.conversation.leaf = id;
        this.show();
        await putConversation(this.conversation);
    }

    doing() {
        return {
            siblings: (id) => this.tree.siblings(id),
            isLast: (message) => this.conversation.leaf === message.id,
            waiting: () => this.waiting.words || t("message.waiting"),
            copy: (message, button) => copyText(message.content, button),
            edit: (message, text) => this.edit(message, text),
            branch: (id) => this.setLeaf(this.tree.leafBelow(id)),
            regenerate: (message) => this.regenerate(message),
            goOn: (message) => this.goOn(message),
            check: (message) => this.check(message),
            remove: (message) => this.remove(message),
            toolResults: (message, results) => this.toolResults(message, results),
        };
    }

    async edit(message, text) {
        if (!text.trim() && !(message.files || []).length) return;
        const again = await addUserMessage(this.conversation, message.parent, text.trim(), message.files);
        this.tree.add(again);
        await this.answer();
    }

    async regenerate(message) {
        stopAnswer(message.id);
        this.conversation.leaf = message.parent;
        await this.answer();
    }

    before(message) {
        return this.tree.path(message.id).slice(0, -1);
    }

    async goOn(message) {
        const run = await resumeAnswer(message.id, this.before(message), false);
        if (run) this.follow(run);
    }

    async check(message) {
        say(t("message.check.running"));
        try {
            const {same, again} = await sameAgain(message, this.before(message));
            if (same) say(t("message.check.same", {size: bytes(new TextEncoder().encode(again.content).length)}));
            else say(t("message.check.other", {at: number(difference(again.content, message.content))}), "error");
        } catch (error) {
            say(t("message.failed", {why: error.message}), "error");
        }
    }

    async remove(message) {
        if (!await confirmed(t("message.delete"), t("message.delete.sure"), t("delete"))) return;
        const gone = [], todo = [message.id];
        while (todo.length) {
            const id = todo.pop();
            gone.push(id);
            dropAnswers((m) => m.id === id);
            todo.push(...(this.tree.children.get(id) || []));
        }
        await removeMessages(this.conversation.id, gone);
        this.tree = new Tree(await messagesOf(this.conversation.id));
        this.conversation.leaf = message.parent ? this.tree.leafBelow(message.parent) : this.tree.lastLeaf();
        await putConversation(this.conversation);
        this.show();
    }

    async toolResults(message, results) {
        let parent = message.id;
        for (const {call, text} of results) {
            const said = newMessage(this.conversation.id, parent, "tool", {content: text, call: call.id});
            await putMessages([said], true);
            this.tree.add(said);
            parent = said.id;
        }
        this.conversation.leaf = parent;
        await this.answer();
    }

    async chooseModel(name) {
        chooseModel(name);
        this.conversation.settings.model = name;
        this.showModel();
        if (this.tree.byId.size) await putConversation(this.conversation);
    }

    async editSettings() {
        const changed = await editSettings(this.conversation.settings);
        if (!changed) return;
        this.conversation.settings = changed;
        this.showHead();
        if (this.tree.byId.size) await putConversation(this.conversation);
    }

    reveal(id) {
        if (!this.tree || !this.tree.byId.has(id)) return;
        if (!this.path().some((m) => m.id === id)) this.conversation.leaf = this.tree.leafBelow(id);
        this.show();
        this.list.reveal(this.views.get(id));
    }

    close() {
        this.closed = true;
        this.waiting.stop();
        this.list.close();
        for (const end of this.ends) end();
    }
}
