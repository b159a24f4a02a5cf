// One message: what was said, and what can be done with it.
import {isRunning, runOf} from "./answers.js";
import {fill, h, icon, iconButton, textButton} from "./dom.js";
import {bytes, number, t} from "./i18n.js";
import {Rendered} from "./rendered.js";
import {showThinking, showTools} from "./message_parts.js";
import {visible} from "./visible.js";

// doing: what the chat does with messages (edit, regenerate, check, goOn, copy, remove, branch, toolResults, siblings)
export class MessageView {
    constructor(message, doing) {
        this.message = message;
        this.doing = doing;
        this.shown = false;
        this.element = h("article", {class: "message " + message.role, tabIndex: -1, "aria-label": t("role." + message.role)});
        this.element.dataset.id = message.id;
    }

    length() {
        const m = this.message;
        return m.content.length + (m.files || []).length * 90;
    }

    // Whether it must keep its elements.
    busy() {
        const selection = getSelection();
        return this.editing || this.element.contains(document.activeElement) ||
            Boolean(selection && !selection.isCollapsed && this.element.contains(selection.anchorNode));
    }

    show() {
        this.shown = true;
        if (this.message.role === "user") this.showUser();
        else if (this.message.role === "tool") this.showTool();
        else this.showAnswer();
    }

    hide() {
        this.shown = false;
        this.text = this.thinking = this.calls = null;
        this.element.replaceChildren();
    }

    // The message has changed.
    update(message) {
        this.message = message;
        if (!this.shown || this.editing) return;
        if (message.role === "assistant" && this.text) this.grow();
        else this.show();
    }

    showUser() {
        const files = (this.message.files || []).map((file) => h("details", {class: "file-shown"},
            h("summary", {}, icon("file"), t("file.shown", {name: file.name, size: bytes(file.size)})),
            h("pre", {tabIndex: 0, role: "region", "aria-label": file.name}, visible(file.text.slice(0, 20000)))));
        const text = h("div", {class: "said plain", dir: "auto"}, visible(this.message.content));
        fill(this.element, h("div", {class: "bubble"}, files, this.message.content ? text : null), this.bar());
    }

    showTool() {
        fill(this.element, h("div", {class: "tool-card"}, h("div", {class: "tool-head"}, icon("tool"), t("role.tool")),
            h("pre", {tabIndex: 0, role: "region", "aria-label": t("role.tool")}, visible(this.message.content))));
    }

    showAnswer() {
        const body = h("div", {class: "said"});
        this.thinking = h("div", {class: "thinking-place"});
        this.calls = h("div", {class: "calls"});
        this.state = h("div", {class: "state"});
        this.foot = h("div", {class: "foot"});
        this.text = new Rendered(body);
        fill(this.element, this.thinking, body, this.calls, this.state, this.foot);
        if (isRunning(this.message.id)) {
            this.grow();
        } else {
            this.text.whole(this.message.content);
            this.settled();
        }
    }

    grow() {
        const running = isRunning(this.message.id);
        showThinking(this.thinking, this.message, running);
        showTools(this.calls, this.message, running, this.doing);
        if (running && !this.running) this.text.clear();
        if (running) {
            this.text.grow(this.message.content);
            this.element.setAttribute("aria-busy", "true");
            this.showProgress();
            if (!this.running) fill(this.foot);
            this.running = true;
            return;
        }
        if (this.running) {
            this.text.text = this.message.content;
            this.text.end();
        } else {
            this.text.whole(this.message.content);
        }
        this.settled();
    }

    settled() {
        this.running = false;
        this.element.removeAttribute("aria-busy");
        showThinking(this.thinking, this.message, false);
        showTools(this.calls, this.message, false, this.doing);
        fill(this.state, this.outcome());
        fill(this.foot, this.message.state === "running" ? null : this.bar());
    }

    showProgress() {
        const run = runOf(this.message.id);
        if (!run) return;
        const read = run.progress && run.progress.total ? run.progress.processed / run.progress.total : 0;
        const waiting = read ? t("message.reading.part", {percent: number(100 * read) + "%"}) : this.doing.waiting();
        const words = {waiting, "catching up": t("message.catchingUp"), away: t("message.away"),
            streaming: t("message.rate", {rate: number(run.rate, run.rate < 10 ? 1 : 0)})}[run.phase];
        const line = this.state.firstChild && this.state.firstChild.classList.contains("progress") ? this.state.firstChild
            : h("div", {class: "progress"}, h("span", {class: "pulse"}), h("span", {}));
        if (!line.isConnected) fill(this.state, line);
        if (line.lastChild.textContent !== words) line.lastChild.textContent = words;
    }

    // How it ended, where that is not simply well.
    outcome() {
        const m = this.message;
        const goOn = () => textButton(t("message.continue"), () => this.doing.goOn(m), {}, "play");
        if (m.state === "running") return h("div", {class: "progress"}, t("message.elsewhere"));
        if (m.state === "failed") {
            const why = m.error.code === "context_length_exceeded" ? t("message.tooLong") : t("message.failed", {why: m.error.message});
            return h("div", {class: "failed", role: "alert"}, h("span", {}, visible(why)), m.content ? goOn() : null,
                textButton(t("message.regenerate"), () => this.doing.regenerate(m), {}, "retry"));
        }
        if (m.state === "stopped") return h("div", {class: "cut"}, t("message.stopped"), goOn());
        if (m.finish === "length") return h("div", {class: "cut"}, t("message.cut"), goOn());
        return m.changed ? h("div", {class: "cut"}, t("message.changed")) : null;
    }

    branches() {
        const all = this.doing.siblings(this.message.id), at = all.indexOf(this.message.id);
        if (all.length < 2) return null;
        const step = (by, name, words) => iconButton(name, t(words), () => this.doing.branch(all[at + by]),
            {disabled: all[at + by] === undefined});
        return h("span", {class: "branches"}, step(-1, "back", "message.branch.previous"),
            h("span", {"aria-label": t("message.branches", {at: at + 1, all: all.length})}, `${at + 1}/${all.length}`),
            step(1, "forward", "message.branch.next"));
    }

    bar() {
        const m = this.message, {doing} = this;
        const copy = iconButton("copy", t("message.copy"), (event) => doing.copy(m, event.currentTarget));
        const remove = iconButton("trash", t("message.delete"), () => doing.remove(m));
        const own = m.role === "user" ? [iconButton("edit", t("message.edit"), () => this.edit())]
            : [iconButton("retry", t("message.regenerate"), () => doing.regenerate(m)),
                m.state === "done" ? iconButton("check", t("message.check"), () => doing.check(m)) : null];
        return h("div", {class: "bar"}, this.branches(), copy, own, remove, m.role === "assistant" ? this.stats() : null);
    }

    stats() {
        const m = this.message;
        if (!m.tokens || !m.request) return null;
        const facts = [t("message.stats", {tokens: number(m.tokens), rate: number(m.rate || 0, 1),
            first: number((m.first_ms || 0) / 1000, 2), seed: m.request.settings.seed})];
        if (m.cached) facts.push(t("message.stats.cached", {count: number(m.cached), all: number(m.prompt_tokens || 0)}));
        return h("details", {class: "stats"}, h("summary", {title: t("message.details")}, t("message.rate",
            {rate: number(m.rate || 0, 1)})), h("div", {}, [m.model, ...facts].filter(Boolean).join(" · ")));
    }

    edit() {
        this.editing = true;
        const area = h("textarea", {class: "field", "aria-label": t("message.edit"), rows: "3", dir: "auto"});
        area.value = this.message.content;
        const end = () => {
            this.editing = false;
            this.show();
        };
        const send = () => {
            end();
            this.doing.edit(this.message, area.value);
        };
        area.addEventListener("keydown", (event) => {
            if (event.key === "Escape") end();
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
                event.preventDefault();
                send();
            }
        });
        fill(this.element, h("form", {class: "edit", onsubmit: (event) => {
            event.preventDefault();
            send();
        }}, area, h("div", {class: "dialog-actions"}, textButton(t("cancel"), end),
            textButton(t("message.edit.save"), null, {class: "button primary", type: "submit"}))));
        area.focus();
    }
}
