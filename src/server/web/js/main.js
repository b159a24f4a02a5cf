// The page: its frame, and which view is in it.
import {account, askWho, recallAccount} from "./account.js";
import {runs} from "./answers.js";
import {askKeysWith, isWell, server} from "./api.js";
import {catalog, loadModels} from "./catalog.js";
import {ChatView} from "./chat_view.js";
import {CompareView} from "./compare_view.js";
import {fill, h, iconButton} from "./dom.js";
import {applyLanguage, languageChanges, t} from "./i18n.js";
import {askForKey} from "./key_dialog.js";
import {KeysView} from "./keys_view.js";
import {ModelsView} from "./models_view.js";
import {NowView} from "./now_view.js";
import {listenToKeys} from "./shortcuts.js";
import {Sidebar} from "./sidebar.js";
import {openStore, store} from "./store.js";
import {startSync} from "./sync.js";
import {applyTheme} from "./theme.js";
import {TuneView} from "./tune_view.js";
import {say} from "./toast.js";
import {scriptUrl} from "./trusted.js";

const views = [
    [/^#\/models$/, (go) => new ModelsView(go)],
    [/^#\/now$/, () => new NowView()],
    [/^#\/compare$/, () => new CompareView()],
    [/^#\/tune$/, (go) => new TuneView(go)],
    [/^#\/keys$/, () => new KeysView()],
    [/^#\/c\/([0-9a-f]{24})$/, (go, match) => new ChatView(match[1], go)],
    [/.*/, (go) => new ChatView(null, go)],
];

const ASK_MS = 3000; // whether the server is back
const FRAME_MS = 50; // after which no frame is waited for: a page that nobody sees has none

const page = {view: null, hash: null, sidebar: null, frame: null, warning: null};

function isNarrow() {
    return matchMedia("(max-width: 760px)").matches;
}

function showSidebar(shown) {
    page.frame.classList.toggle("with-sidebar", shown);
    page.sidebar.element.inert = !shown;
    page.opener.hidden = shown && !isNarrow();
    if (shown && isNarrow()) page.sidebar.field.focus({preventScroll: true});
}

// quietly: the view is there already, only its address is new. message: to be shown in it
function go(hash, quietly, message) {
    if (quietly) {
        page.hash = hash;
        history.replaceState(null, "", hash);
        page.view.id = hash.slice("#/c/".length);
        page.view.composer.id = page.view.id;
        page.sidebar.setCurrent(hash);
        return;
    }
    page.message = message;
    if (location.hash === hash) show();
    else location.hash = hash;
}

async function show() {
    const hash = location.hash || "#/new";
    const [pattern, make] = views.find(([p]) => p.test(hash));
    if (page.view) page.view.close();
    page.hash = hash;
    page.view = make(go, pattern.exec(hash));
    document.title = t("app.name");
    fill(page.place, page.view.element);
    page.sidebar.setCurrent(hash);
    if (isNarrow()) showSidebar(false);
    const {message} = page;
    page.message = null;
    if (message) setTimeout(() => page.view.reveal && page.view.reveal(message), 100);
}

function build() {
    if (page.sidebar) page.sidebar.close();
    page.sidebar = new Sidebar(go, () => {
        showSidebar(false);
        page.opener.focus();
    });
    page.opener = iconButton("menu", t("sidebar.open"), () => showSidebar(true), {class: "icon-button opener"});
    page.place = h("main", {id: "main", tabIndex: -1});
    page.warning = h("div", {class: "warning", role: "alert", hidden: true});
    page.frame = h("div", {class: "frame"}, page.sidebar.element, h("div", {class: "shade", onclick: () => showSidebar(false)}),
        h("div", {class: "content"}, page.warning, page.opener, page.place));
    fill(document.getElementById("app"), h("a", {class: "skip", href: "#main", onclick: (event) => {
        event.preventDefault();
        page.place.focus();
    }}, t("skip")), page.frame);
    showSidebar(!isNarrow());
}

function warn(words) {
    fill(page.warning, words ? h("span", {}, words) : null, words ? iconButton("close", t("close"), () => warn("")) : null);
    page.warning.hidden = !words;
}

function watchServer() {
    let lost = false;
    const ask = () => setTimeout(async () => {
        if (lost && !await isWell()) ask();
    }, ASK_MS);
    server.on("lost", () => {
        if (lost) return;
        lost = true;
        warn(t("trouble.lost"));
        ask();
    });
    server.on("reached", () => {
        if (!lost) return;
        lost = false;
        warn("");
        say(t("trouble.back"));
        meet();
    });
}

// Who asks, and what there is.
function meet() {
    Promise.all([loadModels(), askWho()]).catch(() => {});
}

async function keepOffline() {
    if (!("serviceWorker" in navigator)) return;
    try {
        await navigator.serviceWorker.register(scriptUrl("page/worker.js"), {scope: "./", updateViaCache: "none"});
    } catch {
        // The page works without; the browser allows it only on HTTPS and localhost.
    }
}

// The frame of index.html is on the screen before the page is built.
function firstFrame() {
    return new Promise((resolve) => {
        requestAnimationFrame(() => setTimeout(resolve));
        setTimeout(resolve, FRAME_MS);
    });
}

async function start() {
    applyTheme();
    await firstFrame();
    applyLanguage();
    build();
    store.on("trouble", ({full, message}) => warn(full ? t("trouble.full") : t("trouble.store", {why: message})));
    askKeysWith(askForKey);
    recallAccount();
    watchServer();
    await openStore();
    await show();
    addEventListener("hashchange", show);
    languageChanges.on("change", () => {
        build();
        show();
    });
    matchMedia("(max-width: 760px)").addEventListener("change", () => showSidebar(!isNarrow()));
    account.on("change", () => page.sidebar.setCurrent(page.hash));
    catalog.on("ask", () => loadModels().catch(() => {}));
    listenToKeys({
        new: () => go("#/new"),
        search: () => {
            showSidebar(true);
            page.sidebar.focusSearch();
        },
        settings: () => (page.view.editSettings ? page.view.editSettings() : false),
        sidebar: () => showSidebar(page.sidebar.element.inert),
        compose: () => (page.view.composer ? page.view.composer.focus() : false),
        stop: () => {
            if (page.frame.classList.contains("with-sidebar") && isNarrow()) return showSidebar(false);
            return page.view.running && page.view.running() ? page.view.stop() : false;
        },
    });
    addEventListener("pagehide", () => runs().forEach((run) => run.save(true)));
    startSync();
    meet();
    keepOffline();
}

start();
