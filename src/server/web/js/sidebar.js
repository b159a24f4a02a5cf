// The conversations, and the way to the other views.
import {account, who} from "./account.js";
import {fill, h, icon, iconButton} from "./dom.js";
import {conversationItems} from "./chat_menu.js";
import {t} from "./i18n.js";
import {menuButton} from "./menu.js";
import {search} from "./search.js";
import {listConversations, store} from "./store.js";
import {showPreferences} from "./preferences_dialog.js";
import {sync, syncState} from "./sync.js";
import {visible} from "./visible.js";

const AT_ONCE = 100, DAY = 86400000;
const views = [["models", "models"], ["tune", "tune"], ["compare", "compare"], ["now", "now"]];

function ageOf(ms) {
    const today = new Date().setHours(0, 0, 0, 0);
    if (ms >= today) return "today";
    if (ms >= today - DAY) return "yesterday";
    return ms >= today - 7 * DAY ? "week" : "older";
}

// go(hash, more): shows a view; close(): hides this
export class Sidebar {
    constructor(go, close) {
        this.go = go;
        this.shown = AT_ONCE;
        this.searches = 0;
        this.field = h("input", {type: "search", class: "field", placeholder: t("search"), "aria-label": t("search"),
            oninput: () => this.onSearch()});
        this.list = h("div", {class: "conversations"});
        this.count = h("div", {class: "off-screen", role: "status", "aria-live": "polite"});
        this.user = h("div", {class: "user", hidden: true});
        this.nav = h("nav", {class: "views", "aria-label": t("nav")});
        this.element = h("aside", {class: "sidebar", "aria-label": t("sidebar")},
            h("div", {class: "sidebar-head"}, h("span", {class: "brand"}, h("img", {src: "page/icon.svg", alt: "", width: "24", height: "24"}), "gyr"),
                iconButton("close", t("sidebar.close"), close, {class: "icon-button narrow-only"})),
            h("button", {type: "button", class: "button new-chat", onclick: () => go("#/new")}, icon("add"), t("chat.new")),
            h("div", {class: "search-place"}, icon("search"), this.field), this.count, this.list, this.nav, this.user);
        this.ends = [store.on("change", () => this.later()), account.on("change", () => this.onAccount()), sync.on("change", () => this.showUser())];
        this.showUser();
        this.show();
    }

    // At once: another's titles are not to be seen any longer.
    onAccount() {
        this.showUser();
        this.show();
    }

    // Whose conversations these are, and whether the server has them all.
    showUser() {
        const {name, keeps} = who();
        this.user.hidden = !name;
        const words = keeps ? t("sync." + syncState()) : "";
        fill(this.user, icon("key"), h("bdi", {class: "title"}, visible(name)), h("span", {class: "sync " + syncState(), title: words}, words));
    }

    later() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => (this.list.querySelector(".menu:not([hidden])") ? this.later() : this.show()), 100);
    }

    setCurrent(hash) {
        this.hash = hash;
        fill(this.nav, [...views, ...(who().admin ? [["keys", "key"]] : [])].map(([name, iconName]) => h("a", {href: "#/" + name, "aria-current": hash === "#/" + name ? "page" : null},
            icon(iconName), t("nav." + name))), h("button", {type: "button", onclick: showPreferences}, icon("settings"), t("preferences")));
        for (const link of this.list.querySelectorAll("a")) {
            if (link.getAttribute("href") === hash) link.setAttribute("aria-current", "page");
            else link.removeAttribute("aria-current");
        }
    }

    row(conversation, part, message) {
        const title = visible(conversation.title) || t("chat.untitled"), hash = "#/c/" + conversation.id;
        const link = h("a", {href: hash, "aria-current": this.hash === hash ? "page" : null, onclick: (event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            this.go(hash, false, message);
        }}, h("bdi", {class: "title"}, title), part ? h("span", {class: "snippet", dir: "auto"}, visible(part.before), h("mark", {}, visible(part.found)),
            visible(part.after)) : null);
        return h("li", {}, link, menuButton("more", t("list.menu", {title}), () => conversationItems(conversation, () => {
            if (this.hash === hash) this.go("#/new");
        })));
    }

    async show() {
        if (this.field.value.trim()) {
            await this.showFound();
            return;
        }
        const mine = this.searches += 1;
        const all = await listConversations();
        if (mine !== this.searches) return;
        const groups = new Map();
        for (const conversation of all.slice(0, this.shown)) {
            const age = ageOf(conversation.updated);
            if (!groups.has(age)) groups.set(age, []);
            groups.get(age).push(this.row(conversation));
        }
        const parts = [...groups].map(([age, rows]) => h("section", {}, h("h2", {}, t("list." + age)), h("ul", {}, rows)));
        if (!all.length) parts.push(h("p", {class: "hint"}, t("list.none")));
        if (all.length > this.shown) {
            parts.push(h("button", {type: "button", class: "button", onclick: () => {
                this.shown += AT_ONCE;
                this.show();
            }}, t("list.more")));
        }
        fill(this.count);
        fill(this.list, parts);
    }

    onSearch() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.show(), 150);
    }

    async showFound() {
        const mine = this.searches += 1;
        const found = await search(this.field.value, () => mine !== this.searches);
        if (!found || mine !== this.searches) return;
        fill(this.count, found.length ? t("search.results", {count: found.length}) : t("search.none"));
        fill(this.list, found.length ? h("ul", {class: "found"}, found.map((f) => this.row(f.conversation, f.snippet, f.message)))
            : h("p", {class: "hint"}, t("search.none")));
    }

    focusSearch() {
        this.field.focus();
        this.field.select();
    }

    close() {
        for (const end of this.ends) end();
    }
}
