// The question for a key, which a server that listens to others asks for.
import {askWho} from "./account.js";
import {currentKey, request, setKey} from "./api.js";
import {fill, h, textButton, uniqueId} from "./dom.js";
import {openDialog} from "./dialog.js";
import {t} from "./i18n.js";

// Whether the server takes what is the key now; else why not.
async function refusal() {
    try {
        await request("v1/models", {quiet: true});
        return "";
    } catch (error) {
        return error.message;
    }
}

// The key that the user gave, kept; null: none.
export function askForKey(reason) {
    return openDialog(t("key.title"), (close) => {
        const id = uniqueId("field");
        const input = h("input", {type: "password", class: "field", id, autocomplete: "current-password", spellcheck: false,
            autofocus: true, "aria-describedby": id + "-wrong"});
        const wrong = h("p", {class: "wrong", id: id + "-wrong", role: "alert"}, reason ? t("key.wrong", {why: reason}) : "");
        return h("form", {onsubmit: async (event) => {
            event.preventDefault();
            const before = currentKey(), key = input.value.trim();
            if (!key) return;
            setKey(key);
            const why = await refusal();
            if (!why) {
                await askWho().catch(() => {});
                close(key);
                return;
            }
            setKey(before);
            fill(wrong, t("key.wrong", {why}));
            input.select();
        }}, h("p", {}, t("key.note")), h("label", {for: id}, t("key.label")), input, wrong,
        h("div", {class: "dialog-actions"}, textButton(t("key.use"), null, {class: "button primary", type: "submit"})));
    });
}
