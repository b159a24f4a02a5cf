// Formulas in Markdown: $x$, $$x$$, \(x\) and \[x\], as models write them.

const isSpace = (c) => c === undefined || /\s/.test(c);

// $5 and $6 are prices: what opens a formula has no blank behind it, what closes one none before it and no digit behind.
function dollarEnd(text, from) {
    for (let at = text.indexOf("$", from); at >= 0; at = text.indexOf("$", at + 1)) {
        if (text[at - 1] === "\\") continue;
        return at > from && !isSpace(text[at - 1]) && !/\d/.test(text[at + 1] || "") ? at : -1;
    }
    return -1;
}

function put(state, silent, kind, content, next) {
    if (!silent) {
        const token = state.push("math", "span", 0);
        token.content = content;
        token.meta = kind;
    }
    state.pos = next;
    return true;
}

function between(state, silent, open, close, kind) {
    const end = state.src.indexOf(close, state.pos + open.length);
    if (end < 0 || end > state.posMax) return false;
    const content = state.src.slice(state.pos + open.length, end);
    return content.trim() ? put(state, silent, kind, content, end + close.length) : false;
}

function inline(state, silent) {
    const {src, pos} = state;
    if (src.startsWith("\\(", pos)) return between(state, silent, "\\(", "\\)", "inline");
    if (src.startsWith("\\[", pos)) return between(state, silent, "\\[", "\\]", "block");
    if (src[pos] !== "$") return false;
    if (src[pos + 1] === "$") return between(state, silent, "$$", "$$", "block");
    if (isSpace(src[pos + 1])) return false;
    const end = dollarEnd(src, pos + 1);
    return end > 0 && end < state.posMax ? put(state, silent, "inline", src.slice(pos + 1, end), end + 1) : false;
}

const FENCES = [["$$", "$$"], ["\\[", "\\]"]];

// A formula that begins a line and goes over several, blank lines included.
function block(state, startLine, endLine, silent) {
    const start = state.bMarks[startLine] + state.tShift[startLine];
    const fence = FENCES.find(([open]) => state.src.startsWith(open, start));
    if (!fence || state.sCount[startLine] - state.blkIndent >= 4) return false;
    for (let line = startLine; line < endLine; line += 1) {
        const from = line === startLine ? start + 2 : state.bMarks[line];
        const at = state.src.slice(0, state.eMarks[line]).indexOf(fence[1], from);
        if (at < 0) continue;
        if (state.src.slice(at + 2, state.eMarks[line]).trim()) return false;
        if (silent) return true;
        const token = state.push("math", "p", 0);
        token.block = true;
        token.content = state.src.slice(start + 2, at);
        token.meta = "block";
        token.map = [startLine, line + 1];
        state.line = line + 1;
        return true;
    }
    return false;
}

export function mathRule(md) {
    md.inline.ruler.before("escape", "math", inline);
    md.block.ruler.before("fence", "math", block, {alt: ["paragraph", "blockquote", "list"]});
    md.renderer.rules.math = (tokens, at) => {
        const {content, meta, block: isBlock} = tokens[at];
        const html = `<span class="math-${meta}">${md.utils.escapeHtml(content)}</span>`;
        return isBlock ? `<p>${html}</p>\n` : html;
    };
}
