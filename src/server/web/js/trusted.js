// The page's policy for Trusted Types: addresses of its own scripts, and nothing else, may become code.
const OWN = /^page\/[\w-]+\.js$/;

const check = (url) => {
    if (!OWN.test(url)) throw new TypeError("not a script of this page: " + url);
    return url;
};

const policy = globalThis.trustedTypes
    ? globalThis.trustedTypes.createPolicy("gyr", {createScriptURL: check})
    : {createScriptURL: check};

export function scriptUrl(url) {
    return policy.createScriptURL(url);
}

const loading = new Map();

// Loads a library once.
export function loadScript(url) {
    if (!loading.has(url)) {
        loading.set(url, new Promise((resolve, reject) => {
            const script = document.createElement("script");
            script.src = scriptUrl(url);
            script.onload = () => resolve();
            script.onerror = () => {
                loading.delete(url);
                script.remove();
                reject(new Error(url + ": could not be loaded"));
            };
            document.head.append(script);
        }));
    }
    return loading.get(url);
}

export function loadStyle(url) {
    if (loading.has(url)) return;
    loading.set(url, true);
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = url;
    document.head.append(link);
}
