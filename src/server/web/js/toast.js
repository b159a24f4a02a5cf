// Short news at the edge of the page, which screen readers read out, too.
import {h} from "./dom.js";

const SECONDS = {info: 2.5, error: 8};

function place() {
    const found = document.getElementById("news");
    if (found) return found;
    const made = h("div", {id: "news", class: "news", role: "status", "aria-live": "polite"});
    document.body.append(made);
    return made;
}

export function say(text, kind = "info") {
    const note = h("div", {class: "note " + kind}, text);
    const box = place();
    box.append(note);
    while (box.children.length > 3) box.firstChild.remove();
    setTimeout(() => note.remove(), SECONDS[kind] * 1000);
}
