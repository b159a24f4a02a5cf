// A conversation as one file that opens anywhere, without a network and without scripts.
import {loadConversation} from "./conversation.js";
import {h} from "./dom.js";
import {bytes, dateTime, languageTag, t} from "./i18n.js";
import {render} from "./markdown.js";
import {showMath} from "./math.js";
import {fileName, saveFile} from "./save.js";
import {say} from "./toast.js";
import {visible} from "./visible.js";

const POLICY = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE = `
:root { color-scheme: light dark; --ink: #22252a; --quiet: #686d76; --paper: #fdfcfa; --said: #efece5; --line: #ded9cf; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e4df; --quiet: #9a9fa8; --paper: #17191c; --said: #26292e; --line: #363a41; }
}
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 46rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere; }
header { border-block-end: 1px solid var(--line); margin-block-end: 2rem; }
header p, h2.who { color: var(--quiet); font-size: .85rem; font-weight: 500; margin: 0 0 .5rem; }
article { margin-block-end: 2rem; }
article.user > div { background: var(--said); border-radius: .9rem; padding: .7rem 1rem; white-space: pre-wrap; }
pre { background: var(--said); border-radius: .6rem; padding: .8rem 1rem; overflow-x: auto; font-size: .875rem; }
code { font-family: ui-monospace, monospace; }
table { border-collapse: collapse; } td, th { border: 1px solid var(--line); padding: .3rem .6rem; }
details { color: var(--quiet); white-space: pre-wrap; } .math-block { display: block; overflow-x: auto; }
`;

async function article(message) {
    const head = h("h2", {class: "who"}, t("role." + message.role));
    const box = h("article", {class: message.role}, head);
    for (const file of message.files || []) {
        box.append(h("details", {}, h("summary", {}, t("file.shown", {name: file.name, size: bytes(file.size)})), visible(file.text)));
    }
    if (message.reasoning) box.append(h("details", {}, h("summary", {}, t("thinking")), visible(message.reasoning)));
    const said = h("div", {dir: "auto"});
    if (message.role === "assistant") {
        said.append(render(message.content));
        await showMath(said, "mathml");
    } else {
        said.append(visible(message.content));
    }
    box.append(said);
    for (const call of message.calls || []) box.append(h("pre", {}, `${visible(call.name)}\n${visible(call.arguments)}`));
    return box;
}

// Markup is what the browser makes of elements; put together as text, because a style sheet that is made in this page
// falls under this page's policy.
export async function sharedPage({conversation, tree}) {
    const path = tree.path(conversation.leaf), title = visible(conversation.title || t("chat.untitled"));
    const names = [...new Set(path.map((m) => m.model).filter(Boolean))].join(", ");
    const head = [h("meta", {charset: "utf-8"}), h("meta", {"http-equiv": "Content-Security-Policy", content: POLICY}),
        h("meta", {name: "viewport", content: "width=device-width, initial-scale=1"}), h("title", {}, title)];
    const body = h("body", {}, h("header", {}, h("h1", {dir: "auto"}, title), h("p", {}, t("share.made", {date: dateTime(Date.now())}),
        names ? ` · ${t("share.by", {models: visible(names)})}` : "")), h("main", {}, ...await Promise.all(path.map(article))));
    return `<!DOCTYPE html>\n<html lang="${languageTag()}" dir="${t("language.direction")}">\n<head>\n` +
        `${head.map((element) => element.outerHTML).join("\n")}\n<style>${STYLE}</style>\n</head>\n${body.outerHTML}\n</html>\n`;
}

export async function shareConversation(id) {
    const loaded = await loadConversation(id);
    const name = fileName(loaded.conversation.title, "html");
    saveFile(name, await sharedPage(loaded), "text/html;charset=utf-8");
    say(t("share.done", {name}));
}
