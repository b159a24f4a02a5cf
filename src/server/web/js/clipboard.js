// Copying: the modern way where the browser allows it (HTTPS and localhost), the old one elsewhere.
import {fill, icon} from "./dom.js";
import {t} from "./i18n.js";
import {say} from "./toast.js";

function oldWay(text) {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "off-screen";
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
}

export async function copyText(text, button) {
    let done;
    try {
        await navigator.clipboard.writeText(text);
        done = true;
    } catch {
        done = oldWay(text);
    }
    if (!done) return say(t("copy.failed"), "error");
    say(t("copied"));
    if (!button || !button.classList.contains("icon-button")) return undefined;
    fill(button, icon("check"));
    setTimeout(() => fill(button, icon("copy")), 1500);
    return undefined;
}
