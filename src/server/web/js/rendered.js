// A text as it grows: blocks that are complete are made once, the last one again and again, never more often than a
// small part of the time allows. A text that is too large for Markdown is shown as it is.
import {showCode} from "./code.js";
import {blocksOf, render} from "./markdown.js";
import {showMath} from "./math.js";
import {visible} from "./visible.js";
import {h} from "./dom.js";

const MAX_MARKDOWN = 200000; // characters
const MAX_BLOCK = 60000;
const PART = 20000;
const REFERENCE = /^ {0,3}\[[^\]]+\]:/m;
const SHARE = 5; // of the time: one part of so many

const now = () => performance.now();

function plain(text) {
    const parts = [];
    for (let at = 0; at < text.length; at += PART) parts.push(h("div", {class: "plain-part"}, visible(text.slice(at, at + PART))));
    return h("div", {class: "plain", dir: "auto"}, parts);
}

async function finish(element) {
    await showMath(element);
    await showCode(element);
}

export class Rendered {
    constructor(element) {
        this.element = element;
        this.text = "";
        this.done = 0; // so much of the text is in blocks that stay
        this.live = null; // the elements of the block that may grow
        this.frame = 0;
        this.next = 0;
        this.plain = 0; // characters that are shown as they are
    }

    // The text so far. It is shown with the next frame that has time for it.
    grow(text) {
        if (!text.startsWith(this.text.slice(0, 64)) || text.length < this.text.length) this.clear();
        this.text = text;
        if (!this.frame) this.frame = requestAnimationFrame(() => this.onFrame());
    }

    onFrame() {
        this.frame = 0;
        const start = now();
        if (start < this.next) {
            this.frame = requestAnimationFrame(() => this.onFrame());
            return;
        }
        this.step();
        this.next = Infinity;
        requestAnimationFrame(() => setTimeout(() => { // the layout, too, is among what it took
            this.next = now() + (now() - start) * SHARE;
        }));
    }

    clear() {
        this.element.replaceChildren();
        this.done = this.plain = 0;
        this.live = this.part = null;
        this.text = "";
    }

    // The whole text at once.
    async whole(text) {
        cancelAnimationFrame(this.frame);
        this.frame = 0;
        this.clear();
        this.text = text;
        if (text.length > MAX_MARKDOWN) this.element.replaceChildren(plain(text));
        else this.element.replaceChildren(render(text));
        await finish(this.element);
    }

    append(text) {
        const box = h("div", {class: "blocks"});
        box.append(text.length > MAX_BLOCK ? plain(text) : render(text));
        this.element.append(box);
        return box;
    }

    // Beyond any sense: what comes is put behind what is there.
    stepPlain(text) {
        if (this.live) this.live.remove();
        this.live = null;
        this.plain = this.plain || this.done;
        while (this.plain < text.length) {
            if (!this.part || this.partSize >= PART) {
                this.part = h("div", {class: "plain-part"});
                this.partSize = 0;
                this.element.append(h("div", {class: "plain", dir: "auto"}, this.part));
            }
            const piece = text.slice(this.plain, this.plain + PART - this.partSize);
            this.part.append(piece);
            this.partSize += piece.length;
            this.plain += piece.length;
        }
    }

    step() {
        const text = visible(this.text), rest = text.slice(this.done);
        if (this.plain || text.length > MAX_MARKDOWN || rest.length > MAX_BLOCK) {
            this.stepPlain(text);
            return;
        }
        const blocks = blocksOf(rest);
        const last = blocks.at(-1);
        if (this.live) this.live.remove();
        this.live = null;
        if (blocks.length > 1) {
            finish(this.append(rest.slice(0, last.from)));
            this.done += last.from;
        }
        if (!last) return;
        this.live = this.append(rest.slice(last.from));
        this.live.classList.add("live");
        showMath(this.live);
    }

    // Nothing more comes. Where a later line says what an earlier link means, all is made anew.
    end() {
        if (!this.text) return;
        cancelAnimationFrame(this.frame);
        this.frame = 0;
        if (!this.plain && REFERENCE.test(this.text)) {
            this.whole(this.text);
            return;
        }
        this.step();
        if (!this.live) return;
        this.live.classList.remove("live");
        finish(this.live);
        this.live = null;
        this.done = visible(this.text).length;
    }
}
