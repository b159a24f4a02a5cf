// A text as a file of the user's.
export function saveFile(name, text, type = "text/plain;charset=utf-8") {
    const url = URL.createObjectURL(new Blob([text], {type}));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// A title as part of a file's name.
export function fileName(title, ending) {
    const plain = title.normalize("NFC").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60);
    return `${plain || "conversation"}.${ending}`;
}
