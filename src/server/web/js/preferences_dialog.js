// What is the same for all conversations: language, appearance, key, and the conversations as a whole.
import {dropAnswers} from "./answers.js";
import {forgetKey, who} from "./account.js";
import {currentKey, getJson} from "./api.js";
import {fill, h, textButton, uniqueId} from "./dom.js";
import {confirmed, openDialog} from "./dialog.js";
import {chooseFiles} from "./files.js";
import {bytes, language, languages, setLanguage, t} from "./i18n.js";
import {askForKey} from "./key_dialog.js";
import {getPref} from "./prefs.js";
import {shortcuts} from "./shortcuts.js";
import {deleteConversation, listConversations} from "./store.js";
import {clearSynced, syncState} from "./sync.js";
import {setTheme, themes} from "./theme.js";
import {exportJson, importFile} from "./transfer.js";
import {visible} from "./visible.js";

function choice(label, values, now, words, onchange) {
    const id = uniqueId("field");
    const select = h("select", {class: "field", id, onchange: () => onchange(select.value)},
        values.map((value) => h("option", {value, selected: value === now}, words(value))));
    return h("div", {class: "setting"}, h("label", {for: id}, label), select);
}

function keyWords() {
    if (!currentKey()) return t("preferences.key.none");
    if (!who().name) return t("preferences.key.set");
    return t(who().keeps ? "preferences.key.kept" : "preferences.key.of", {name: visible(who().name)}) +
        (who().keeps ? " " + t("sync." + syncState()) : "");
}

function keyPart() {
    const box = h("div", {class: "setting"});
    const show = () => fill(box, h("h3", {}, t("preferences.key")),
        h("p", {}, keyWords()), h("div", {class: "row"},
            textButton(t(currentKey() ? "preferences.key.change" : "preferences.key.enter"), async () => {
                await askForKey("");
                show();
            }, {}, "key"),
            currentKey() ? textButton(t("preferences.key.forget"), async () => {
                const {keeps, id} = who();
                if (keeps && !await confirmed(t("preferences.key.forget"), t("preferences.key.forget.sure"), t("preferences.key.forget"))) return;
                forgetKey();
                if (keeps) await clearSynced(id);
                show();
            }) : null));
    show();
    return box;
}

async function deleteAll() {
    if (!await confirmed(t("preferences.deleteAll"), t(who().keeps ? "preferences.deleteAll.sure.kept" : "preferences.deleteAll.sure"), t("delete"))) return;
    dropAnswers(() => true);
    for (const {id} of await listConversations()) await deleteConversation(id);
    location.hash = "#/new";
}

function dataPart() {
    const used = h("p", {class: "hint"});
    if (navigator.storage && navigator.storage.estimate) {
        navigator.storage.estimate().then(({usage}) => fill(used, t("preferences.storage", {used: bytes(usage || 0)})), () => {});
    }
    return h("div", {class: "setting"}, h("h3", {}, t("preferences.data")), h("div", {class: "row"},
        textButton(t("preferences.export"), () => exportJson(), {}, "download"),
        textButton(t("preferences.import"), async () => {
            for (const file of await chooseFiles(".json,application/json", true)) await importFile(file);
        }, {}, "upload"),
        textButton(t("preferences.deleteAll"), deleteAll, {class: "button danger"}, "trash")), used);
}

function keysPart() {
    return h("div", {class: "setting"}, h("h3", {}, t("preferences.keys")), h("dl", {class: "keys"},
        shortcuts.map(({name, keys}) => h("div", {}, h("dt", {}, keys.map((k) => h("kbd", {}, k))), h("dd", {}, t("keys." + name))))));
}

export function showPreferences() {
    return openDialog(t("preferences"), (close) => {
        const about = h("p", {class: "hint"});
        getJson("props", {quiet: true}).then((props) => about.prepend(t("preferences.about", {version: props.version}), " · "), () => {});
        about.append(h("a", {href: "page/licences.txt", target: "_blank", rel: "noopener"}, t("preferences.licences")));
        return h("div", {class: "settings"}, h("div", {class: "grid"},
            choice(t("preferences.language"), Object.keys(languages), language(), (code) => languages[code]["language.name"], (code) => {
                close(null);
                setLanguage(code);
                showPreferences();
            }),
            choice(t("preferences.theme"), themes, getPref("theme", "auto"), (name) => t("preferences.theme." + name), setTheme)),
        keyPart(), dataPart(), keysPart(), about);
    }, {class: "wide"});
}
