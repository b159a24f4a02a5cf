// The one place where text that a model or a user wrote becomes elements: DOMPurify, with a list of what may be there.
const TAGS = ["a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol",
    "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"];
const ATTRIBUTES = ["align", "class", "data-language", "dir", "href", "rel", "start", "target", "title"];
const CLASSES = /^(hljs[\w-]*|math-(inline|block)|picture|task|language-[\w+#.-]+)$/;
const LINK = /^(https?:\/\/|mailto:)/i; // "http:x" would be an address of this server

const set = {ready: false};

function ready() {
    if (set.ready) return;
    set.ready = true;
    DOMPurify.addHook("afterSanitizeAttributes", (node) => {
        if (node.hasAttribute("class")) {
            const kept = [...node.classList].filter((name) => CLASSES.test(name));
            if (kept.length) node.setAttribute("class", kept.join(" "));
            else node.removeAttribute("class");
        }
        if (node.tagName !== "A") return;
        if (!LINK.test(node.getAttribute("href") || "")) node.removeAttribute("href");
        node.setAttribute("target", "_blank");
        node.setAttribute("rel", "noopener noreferrer nofollow");
    });
}

export function sanitized(html) {
    ready();
    return DOMPurify.sanitize(html, {ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ATTRIBUTES,
        ADD_URI_SAFE_ATTR: ATTRIBUTES.filter((name) => name !== "href"), ALLOW_DATA_ATTR: false,
        ALLOW_ARIA_ATTR: false, ALLOWED_URI_REGEXP: LINK, KEEP_CONTENT: true, RETURN_DOM_FRAGMENT: true});
}
