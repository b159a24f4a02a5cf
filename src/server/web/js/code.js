// Blocks of code: their language, buttons, and colours by highlight.js, which is loaded when the first one comes.
import {copyText} from "./clipboard.js";
import {h, iconButton} from "./dom.js";
import {t} from "./i18n.js";
import {saveFile} from "./save.js";
import {sanitized} from "./sanitize.js";
import {loadScript} from "./trusted.js";

const MAX_COLOURED = 100000;
const ENDINGS = {python: "py", javascript: "js", typescript: "ts", bash: "sh", shell: "sh", rust: "rs", markdown: "md",
    cpp: "cpp", csharp: "cs", kotlin: "kt", ruby: "rb", perl: "pl", json: "json", html: "html", css: "css", c: "c", go: "go",
    java: "java", sql: "sql", yaml: "yaml", xml: "xml", diff: "diff"};

async function colour(code, language) {
    const text = code.textContent;
    if (!language || text.length > MAX_COLOURED) return;
    try {
        await loadScript("page/highlight.js");
        if (!hljs.getLanguage(language)) return;
        code.replaceChildren(sanitized(hljs.highlight(text, {language, ignoreIllegals: true}).value));
    } catch {
        // It stays as it is.
    }
}

function frame(pre) {
    const code = pre.querySelector("code") || pre;
    const language = (code.dataset.language || "").toLowerCase();
    const name = "code." + (ENDINGS[language] || "txt");
    const box = h("div", {class: "code-block"});
    pre.replaceWith(box);
    pre.tabIndex = 0; // it may have to be scrolled by keys
    pre.setAttribute("role", "region");
    pre.setAttribute("aria-label", t("code.block", {language: language || t("code.text")}));
    pre.dir = "ltr";
    box.append(h("div", {class: "code-head"}, h("span", {class: "code-language"}, language || t("code.text")),
        iconButton("download", t("code.save"), () => saveFile(name, code.textContent)),
        iconButton("copy", t("copy"), (event) => copyText(code.textContent, event.currentTarget))), pre);
    return colour(code, language);
}

// Frames the blocks of code of an element.
export function showCode(element) {
    return Promise.all([...element.querySelectorAll("pre")].filter((pre) => !pre.closest(".code-block")).map(frame));
}
