// Parts of an answer beside its text: the reasoning, which is folded, and calls of tools.
import {fill, h, icon, textButton} from "./dom.js";
import {t} from "./i18n.js";
import {visible} from "./visible.js";

const MAX_SHOWN = 100000;

// Open while it is all that there is; the user's choice holds.
export function showThinking(place, message, running) {
    const text = message.reasoning || "";
    if (!text) {
        if (place.firstChild) fill(place);
        return;
    }
    let box = place.firstChild;
    if (!box) {
        box = h("details", {class: "thinking"}, h("summary", {}, icon("thinking"), h("span", {})),
            h("div", {class: "plain", dir: "auto"}));
        box.querySelector("summary").addEventListener("click", () => {
            box.dataset.chosen = "true";
        });
        fill(place, box);
    }
    const now = running && !message.content;
    box.querySelector("summary span").textContent = t(now ? "thinking.now" : "thinking");
    if (!box.dataset.chosen) box.open = now;
    if (!box.open && running) return;
    const shown = visible(text.slice(-MAX_SHOWN)), inside = box.lastChild;
    if (inside.textContent === shown) return;
    inside.textContent = shown;
    if (now) inside.scrollTop = inside.scrollHeight;
}

function pretty(text) {
    try {
        return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
        return text;
    }
}

function card(call, number, withField) {
    const area = withField ? h("textarea", {class: "field", rows: "2", "aria-label": t("tool.result")}) : null;
    const box = h("div", {class: "tool-card"},
        h("div", {class: "tool-head"}, icon("tool"), t("tool.call", {name: visible(call.name)})),
        h("pre", {tabIndex: 0, role: "region", "aria-label": t("tool.arguments")}, visible(pretty(call.arguments).slice(0, MAX_SHOWN))),
        area);
    return {box, area};
}

// The calls of an answer; where nobody has answered them yet, fields for the results.
export function showTools(place, message, running, doing) {
    const calls = message.calls || [];
    const open = calls.length > 0 && !running && doing.isLast(message);
    const state = JSON.stringify([calls, open]);
    if (place.dataset.state === state) return;
    place.dataset.state = state;
    const cards = calls.map((call, at) => card(call, at, open));
    fill(place, cards.map((c) => c.box));
    if (!open) return;
    place.append(h("div", {class: "tool-send"}, h("span", {}, t("tool.note")), textButton(t("tool.send"), () => {
        doing.toolResults(message, calls.map((call, at) => ({call, text: cards[at].area.value})));
    }, {class: "button primary"})));
}
