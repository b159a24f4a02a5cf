// Files as text: read here, and sent within the message.
import {bytes, t} from "./i18n.js";
import {say} from "./toast.js";

const MAX_SIZE = 4 << 20;

async function readOne(file) {
    if (file.size > MAX_SIZE) {
        say(t("file.large", {name: file.name, size: bytes(MAX_SIZE)}), "error");
        return null;
    }
    try {
        const text = new TextDecoder("utf-8", {fatal: true}).decode(await file.arrayBuffer());
        if (text.includes("\0")) throw new TypeError("NUL");
        return {name: file.name.slice(0, 200), size: file.size, text};
    } catch (error) {
        const binary = error instanceof TypeError;
        say(binary ? t("file.binary", {name: file.name}) : t("file.unread", {name: file.name, why: error.message}), "error");
        return null;
    }
}

export async function readFiles(list) {
    return (await Promise.all([...list].slice(0, 20).map(readOne))).filter(Boolean);
}

// The user's choice of files.
export function chooseFiles(accept, multiple) {
    return new Promise((resolve) => {
        const input = document.createElement("input");
        input.type = "file";
        input.accept = accept;
        input.multiple = multiple;
        input.addEventListener("change", () => resolve([...input.files]));
        input.addEventListener("cancel", () => resolve([]));
        input.click();
    });
}
