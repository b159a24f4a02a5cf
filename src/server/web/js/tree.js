// A conversation's messages are a tree: who edits a message or asks again begins a branch, and nothing is lost. A
// message names the one before it as its parent; the conversation names the leaf that is shown.
export class Tree {
    constructor(messages) {
        this.byId = new Map();
        this.children = new Map();
        for (const message of messages) this.add(message);
    }

    add(message) {
        const known = this.byId.has(message.id);
        this.byId.set(message.id, message);
        if (known) return;
        const siblings = this.children.get(message.parent || "") || [];
        siblings.push(message.id);
        siblings.sort((a, b) => this.byId.get(a).created - this.byId.get(b).created || (a < b ? -1 : 1));
        this.children.set(message.parent || "", siblings);
    }

    // From the first message to the leaf. A parent that is missing, or a circle in what was imported, ends it.
    path(leaf) {
        const found = [], seen = new Set();
        for (let id = leaf; id && this.byId.has(id) && !seen.has(id); id = this.byId.get(id).parent) {
            seen.add(id);
            found.push(this.byId.get(id));
        }
        return found.reverse();
    }

    siblings(id) {
        const message = this.byId.get(id);
        return message ? this.children.get(message.parent || "") || [] : [];
    }

    // The leaf below a message on the branch that was made last.
    leafBelow(id) {
        const seen = new Set();
        for (;;) {
            const next = (this.children.get(id) || []).at(-1);
            if (!next || seen.has(next)) return id;
            seen.add(next);
            id = next;
        }
    }

    lastLeaf() {
        const first = (this.children.get("") || []).at(-1);
        return first ? this.leafBelow(first) : null;
    }
}
