// Light, dark, or as the system has it.
import {getPref, setPref} from "./prefs.js";

export const themes = ["auto", "light", "dark"];

export function applyTheme() {
    const theme = getPref("theme", "auto");
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
}

export function setTheme(theme) {
    setPref("theme", theme);
    applyTheme();
}
