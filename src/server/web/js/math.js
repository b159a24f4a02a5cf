// Formulas by KaTeX, which is loaded when the first one comes. Its tree of elements is built node by node: styles that
// are set so are allowed by the policy, and no markup is read.
import {loadScript, loadStyle} from "./trusted.js";

const MAX_LENGTH = 5000;
const settings = (display, output) => ({displayMode: display, output, throwOnError: true, strict: "ignore", trust: false,
    maxSize: 20, maxExpand: 500});

// What the policy refuses, and looks need not.
function withoutStyles(node) {
    if (node.attributes) delete node.attributes.style;
    for (const child of node.children || []) withoutStyles(child);
}

function show(span, output) {
    const source = span.textContent;
    const display = span.classList.contains("math-block");
    span.dataset.math = source;
    try {
        if (source.length > MAX_LENGTH) throw new Error("too long");
        const tree = katex.__renderToDomTree(source, settings(display, output));
        withoutStyles(tree);
        span.replaceChildren(tree.toNode());
    } catch (error) {
        span.classList.add("math-broken");
        span.title = String(error.message || error).slice(0, 300);
    }
}

// The formulas in an element. Until KaTeX is there, and where one is broken, their source is shown.
export async function showMath(element, output = "htmlAndMathml") {
    const spans = [...element.querySelectorAll(".math-inline:not([data-math]), .math-block:not([data-math])")];
    if (!spans.length) return;
    if (!globalThis.katex) {
        loadStyle("page/katex.css");
        try {
            await loadScript("page/katex.js");
        } catch {
            return;
        }
    }
    for (const span of spans) if (!span.dataset.math) show(span, output);
}
