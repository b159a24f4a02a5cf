// A table of questions and answers as the chats that fine-tuning takes (docs/training.md).
import {t} from "./i18n.js";

const COLUMNS = {system: ["system"], user: ["question", "prompt", "user", "input", "instruction"],
    assistant: ["answer", "completion", "assistant", "output", "response"]};

// Rows of fields (RFC 4180), each with the line that it begins on; the separator is the first that the first line has.
export function rowsOf(text) {
    const all = text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n"), separator = (all.split("\n", 1)[0].match(/[,;\t]/) || [","])[0];
    const rows = [];
    let at = 0, line = 1, row = [], first = 1;
    const wrong = (name) => new Error(t("tune.csv." + name, {line: first}));
    while (at < all.length) {
        let field = "";
        if (all[at] === '"') {
            for (at += 1; ; at += 1) {
                if (at >= all.length) throw wrong("quote");
                if (all[at] === '"' && all[at + 1] !== '"') break;
                if (all[at] === '"') at += 1;
                if (all[at] === "\n") line += 1;
                field += all[at];
            }
            at += 1;
            if (at < all.length && all[at] !== separator && all[at] !== "\n") throw wrong("quote");
        } else {
            const end = all.slice(at).search(new RegExp(`[${separator}\n"]|$`)) + at;
            if (all[end] === '"') throw wrong("quote");
            field = all.slice(at, end);
            at = end;
        }
        row.push(field);
        if (all[at] === separator && at + 1 < all.length) {
            at += 1;
            continue;
        }
        if (all[at] === separator) row.push("");
        at += 1;
        line += 1;
        if (row.length > 1 || row[0]) rows.push({fields: row, line: first});
        row = [];
        first = line;
    }
    return rows;
}

// Lines of JSON.
export function chatsOf(text) {
    const [head, ...rows] = rowsOf(text);
    const role = (name) => Object.keys(COLUMNS).find((r) => COLUMNS[r].includes(name.trim().toLowerCase()));
    const roles = head ? head.fields.map(role) : [];
    if (roles.includes(undefined) || !roles.includes("user") || !roles.includes("assistant") || new Set(roles).size < roles.length)
        throw new Error(t("tune.csv.head"));
    return rows.map(({fields, line}) => {
        const said = (name) => (roles.includes(name) ? fields[roles.indexOf(name)] : "");
        if (fields.length !== roles.length || !said("user") || !said("assistant")) throw new Error(t("tune.csv.row", {line}));
        const messages = Object.keys(COLUMNS).filter(said).map((name) => ({role: name, content: said(name)}));
        return JSON.stringify({messages}) + "\n";
    }).join("");
}
