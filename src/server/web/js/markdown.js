// What models write, Markdown with formulas, as elements. HTML in it is text; pictures are links.
import {mathRule} from "./math_rule.js";
import {sanitized} from "./sanitize.js";
import {visible} from "./visible.js";

const made = {md: null};

function picture(md) {
    return (tokens, at) => {
        const source = tokens[at].attrGet("src") || "";
        const label = md.utils.escapeHtml(tokens[at].content || source);
        return `<a class="picture" href="${md.utils.escapeHtml(source)}">${label}</a>`;
    };
}

function fence(md) {
    return (tokens, at) => {
        const language = md.utils.escapeHtml((tokens[at].info || "").trim().split(/\s+/)[0].slice(0, 40));
        return `<pre><code data-language="${language}">${md.utils.escapeHtml(tokens[at].content)}</code></pre>\n`;
    };
}

// A column's side as an attribute: a style would be refused.
function aligned(token) {
    const side = /^text-align:(left|right|center)$/.exec(token.attrGet("style") || "");
    token.attrs = token.attrs.filter(([name]) => name !== "style");
    if (side) token.attrSet("align", side[1]);
}

// Each block in the direction of its own text.
function directed(md, names) {
    for (const name of names) {
        const before = md.renderer.rules[name + "_open"];
        md.renderer.rules[name + "_open"] = (tokens, at, options, env, self) => {
            tokens[at].attrSet("dir", "auto");
            aligned(tokens[at]);
            return before ? before(tokens, at, options, env, self) : self.renderToken(tokens, at, options);
        };
    }
}

function parser() {
    if (made.md) return made.md;
    const md = markdownit({html: false, linkify: true, breaks: true, maxNesting: 40});
    md.linkify.set({fuzzyLink: false, fuzzyEmail: false});
    md.validateLink = (url) => /^(https?:\/\/|mailto:)/i.test(url.trim());
    md.use(mathRule);
    md.renderer.rules.image = picture(md);
    md.renderer.rules.fence = fence(md);
    md.renderer.rules.code_block = fence(md);
    directed(md, ["paragraph", "heading", "list_item", "blockquote", "td", "th"]);
    made.md = md;
    return md;
}

// The blocks of a text: [{from, to, kind, tokens}] with places in the text.
export function blocksOf(text) {
    const tokens = parser().parse(text, {});
    const starts = [0];
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
    const place = (line) => (line < starts.length ? starts[line] : text.length);
    const blocks = [];
    let open = null;
    for (const token of tokens) {
        if (!open) {
            open = {from: place(token.map ? token.map[0] : 0), to: place(token.map ? token.map[1] : 0), kind: token.type, tokens: []};
            blocks.push(open);
        }
        open.tokens.push(token);
        if (token.level === 0 && token.nesting <= 0) open = null;
    }
    return blocks;
}

export function render(text) {
    return sanitized(parser().render(visible(text)));
}
