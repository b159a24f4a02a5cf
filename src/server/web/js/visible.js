// Characters that change what a reader sees without being seen: control characters (of ANSI codes, for one) become
// their pictures, and what overrides the direction of writing is spelled.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

function picture(c) {
    const code = c.charCodeAt(0);
    if (code === 0x0d) return "";
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return "[U+" + code.toString(16).toUpperCase().padStart(4, "0") + "]";
}

// The marks that right-to-left writing needs stay; they order single characters and hide nothing.
const HARMLESS = new Set(["\u061c", "\u200e", "\u200f", "\ufeff"]);

export function visible(text) {
    return text.replace(HIDDEN, (c) => (HARMLESS.has(c) ? c : picture(c)));
}
