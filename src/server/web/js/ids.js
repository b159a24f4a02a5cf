// Names that nothing else has. crypto.randomUUID() is missing on plain HTTP from another machine; this is not.
export function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

export function newSeed() {
    return crypto.getRandomValues(new Uint32Array(1))[0];
}

// Of this tab, kept when it is loaded again.
export function tabId() {
    try {
        if (!sessionStorage.getItem("gyr.tab")) sessionStorage.setItem("gyr.tab", newId());
        return sessionStorage.getItem("gyr.tab");
    } catch {
        return "tab";
    }
}
