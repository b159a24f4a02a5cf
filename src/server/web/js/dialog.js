// Dialogs: the browser's own, which keep the keyboard's focus and say their name.
import {h, iconButton, textButton, uniqueId} from "./dom.js";
import {t} from "./i18n.js";

// Shows a dialog; `build(close)` gives its inside. What close() is called with is the result; null: it was dismissed.
export function openDialog(title, build, more = {}) {
    return new Promise((resolve) => {
        const name = uniqueId("dialog"), before = document.activeElement;
        const close = (result) => {
            dialog.close();
            dialog.remove();
            if (before && before.isConnected) before.focus();
            resolve(result);
        };
        const dialog = h("dialog", {class: "dialog " + (more.class || ""), "aria-labelledby": name});
        dialog.append(h("div", {class: "dialog-head"}, h("h2", {id: name}, title),
            iconButton("close", t("close"), () => close(null))), ...[build(close)].flat());
        dialog.addEventListener("cancel", (event) => {
            event.preventDefault();
            close(null);
        });
        dialog.addEventListener("click", (event) => {
            if (event.target === dialog) close(null);
        });
        document.body.append(dialog);
        dialog.showModal();
    });
}

export function confirmed(title, text, action) {
    return openDialog(title, (close) => [h("p", {}, text), h("div", {class: "dialog-actions"},
        textButton(t("cancel"), () => close(null)),
        textButton(action, () => close(true), {class: "button danger", autofocus: true}))]);
}

export function asked(title, value) {
    return openDialog(title, (close) => {
        const input = h("input", {type: "text", class: "field", value, maxlength: "200", "aria-label": title, autofocus: true});
        return h("form", {onsubmit: (event) => {
            event.preventDefault();
            close(input.value.trim() || null);
        }}, input, h("div", {class: "dialog-actions"}, textButton(t("cancel"), () => close(null)),
            textButton(t("save"), null, {class: "button primary", type: "submit"})));
    });
}
