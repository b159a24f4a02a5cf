// A button that opens a list of things to do.
import {fill, h, icon, iconButton, uniqueId} from "./dom.js";

// items(): [{icon, label, action, danger}], asked for when it opens
export function menuButton(iconName, label, items, more) {
    const id = uniqueId("menu");
    const list = h("div", {class: "menu", role: "menu", id, "aria-label": label, hidden: true});
    const button = iconButton(iconName, label, () => (list.hidden ? open() : close(true)),
        {"aria-haspopup": "menu", "aria-expanded": "false", "aria-controls": id, ...more});
    const box = h("div", {class: "menu-box"}, button, list);

    function close(focus) {
        list.hidden = true;
        button.setAttribute("aria-expanded", "false");
        document.removeEventListener("pointerdown", outside);
        if (focus) button.focus();
    }

    function outside(event) {
        if (!box.contains(event.target)) close(false);
    }

    function step(by) {
        const all = [...list.children], at = all.indexOf(document.activeElement);
        all[(at + by + all.length) % all.length].focus();
    }

    function open() {
        fill(list, items().map((item) => h("button", {type: "button", role: "menuitem", tabIndex: -1,
            class: item.danger ? "danger" : "", onclick: () => {
                close(true);
                item.action();
            }}, icon(item.icon), item.label)));
        list.hidden = false;
        button.setAttribute("aria-expanded", "true");
        document.addEventListener("pointerdown", outside);
        place();
        list.firstChild.focus();
    }

    // Above the button where there is no room below.
    function place() {
        list.classList.remove("above");
        const {bottom} = list.getBoundingClientRect();
        if (bottom > innerHeight) list.classList.add("above");
    }

    box.addEventListener("keydown", (event) => {
        if (list.hidden) return;
        if (event.key === "Escape") close(true);
        else if (event.key === "ArrowDown") step(1);
        else if (event.key === "ArrowUp") step(-1);
        else if (event.key === "Tab") close(false);
        else return;
        if (event.key !== "Tab") event.preventDefault();
        event.stopPropagation();
    });
    return box;
}
