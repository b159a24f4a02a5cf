// The page without the server: its files are kept, and given when the server does not answer. What it is asked for
// besides, above all the APIs, goes to the network as if this were not here.
"use strict";

const KEPT = "gyr-page-$VERSION";
const FILES = "$FILES".split(" ").map((name) => "page/" + name);
const ROOT = new URL("../", self.location.href);
const WAIT_MS = 3000;

const isOurs = (url) => url.origin === ROOT.origin &&
    (url.pathname === ROOT.pathname || url.pathname.startsWith(ROOT.pathname + "page/"));

self.addEventListener("install", (event) => {
    const urls = ["", ...FILES].map((path) => new Request(new URL(path, ROOT), {cache: "no-cache"}));
    event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(urls)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
    const old = (names) => names.filter((name) => name.startsWith("gyr-page-") && name !== KEPT);
    const early = self.registration.navigationPreload; // the page is asked for while this is being started
    event.waitUntil(caches.keys().then((names) => Promise.all([...old(names).map((name) => caches.delete(name)), early && early.enable()]))
        .then(() => self.clients.claim()));
});

// From the network while that answers soon, else as it was kept.
async function answer({request, preloadResponse}) {
    const asked = Promise.resolve(preloadResponse).then((early) => early || fetch(request));
    asked.catch(() => {}); // where it matters it is waited for
    const kept = await (await caches.open(KEPT)).match(request, {ignoreSearch: true});
    if (!kept) return asked;
    const late = new Promise((resolve) => setTimeout(resolve, WAIT_MS, null));
    const reply = await Promise.race([asked.catch(() => null), late]);
    return reply && reply.ok ? reply : kept;
}

self.addEventListener("fetch", (event) => {
    const url = new URL(event.request.url);
    if (event.request.method === "GET" && isOurs(url)) event.respondWith(answer(event));
});
