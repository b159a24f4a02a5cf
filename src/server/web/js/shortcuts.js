// Keys that do something wherever the focus is.
const ctrl = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";

// name: what it does, in keys.NAME of the languages
export const shortcuts = [
    {name: "new", keys: [ctrl, "Shift", "O"], is: (e) => command(e) && e.shiftKey && e.code === "KeyO"},
    {name: "search", keys: [ctrl, "K"], is: (e) => command(e) && !e.shiftKey && e.code === "KeyK"},
    {name: "settings", keys: [ctrl, ","], is: (e) => command(e) && e.key === ","},
    {name: "sidebar", keys: [ctrl, "Shift", "S"], is: (e) => command(e) && e.shiftKey && e.code === "KeyS"},
    {name: "compose", keys: ["/"], is: (e) => e.key === "/" && !command(e) && !isField(e.target)},
    {name: "stop", keys: ["Esc"], is: (e) => e.key === "Escape"},
];

const command = (event) => event.ctrlKey || event.metaKey;
const isField = (element) => element.matches("input, textarea, select, [contenteditable]");

// actions: name -> function that says whether it did something
export function listenToKeys(actions) {
    document.addEventListener("keydown", (event) => {
        if (document.querySelector("dialog[open]") || event.isComposing) return;
        const found = shortcuts.find(({is}) => is(event));
        if (found && actions[found.name] && actions[found.name]() !== false) event.preventDefault();
    });
}
