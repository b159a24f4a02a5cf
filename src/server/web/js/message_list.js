// Messages in a column of which only what is near the eye has its elements: the others are boxes as tall as they were.
const NEAR = "900px 0px"; // beyond the edges of what is seen
const AT_END = 48; // pixels

// What a message that was never shown may need.
function guess(view) {
    const characters = view.length();
    return 56 + Math.ceil(characters / 90) * 25;
}

export class MessageList {
    constructor(scroller, column) {
        this.scroller = scroller;
        this.column = column;
        this.views = new Map(); // by the element's id
        this.atEnd = true;
        this.watch = new IntersectionObserver((entries) => entries.forEach((entry) => this.onSeen(entry)),
            {root: scroller, rootMargin: NEAR});
        this.sizes = new ResizeObserver(() => {
            if (this.atEnd) this.toEnd();
        });
        this.sizes.observe(column);
        this.sizes.observe(scroller);
        scroller.addEventListener("scroll", () => this.onScroll(), {passive: true});
    }

    onScroll() {
        const {scrollTop, scrollHeight, clientHeight} = this.scroller;
        const up = scrollTop < (this.lastTop || 0) - 2;
        this.lastTop = scrollTop;
        const near = scrollHeight - scrollTop - clientHeight < AT_END;
        if (near) this.setAtEnd(true);
        else if (up || !this.atEnd) this.setAtEnd(false);
    }

    setAtEnd(value) {
        if (this.atEnd === value) return;
        this.atEnd = value;
        if (this.onAtEnd) this.onAtEnd(value);
    }

    toEnd() {
        this.setAtEnd(true);
        this.scroller.scrollTop = this.scroller.scrollHeight;
        this.lastTop = this.scroller.scrollTop;
    }

    onSeen(entry) {
        const view = this.views.get(entry.target);
        if (!view) return;
        if (entry.isIntersecting) this.show(view);
        else if (view.shown && !view.busy()) this.hide(view, entry.boundingClientRect.height);
    }

    show(view) {
        if (view.shown) return;
        view.show();
        view.element.style.removeProperty("block-size");
    }

    hide(view, height) {
        view.hide();
        view.element.style.setProperty("block-size", `${height}px`);
    }

    // The messages to be shown, in order: views are kept where their message is still there.
    set(views) {
        const wanted = new Set(views.map((view) => view.element));
        for (const [element, view] of this.views) {
            if (wanted.has(element)) continue;
            this.watch.unobserve(element);
            this.views.delete(element);
            view.hide();
            element.remove();
        }
        let before = null;
        for (const view of views) {
            const {element} = view;
            if (!this.views.has(element)) {
                this.views.set(element, view);
                if (!view.shown) element.style.setProperty("block-size", `${guess(view)}px`);
                this.watch.observe(element);
            }
            const place = before ? before.nextSibling : this.column.firstChild;
            if (place !== element) this.column.insertBefore(element, place);
            before = element;
        }
    }

    // Shows one in the middle, with those around it.
    reveal(view) {
        this.setAtEnd(false);
        this.show(view);
        view.element.scrollIntoView({block: "center"});
        view.element.focus({preventScroll: true});
    }

    close() {
        this.watch.disconnect();
        this.sizes.disconnect();
    }
}
