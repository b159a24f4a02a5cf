// Where a message is written: text, files, and the button that sends it or stops the answer.
import {fill, h, icon, iconButton} from "./dom.js";
import {chooseFiles, readFiles} from "./files.js";
import {bytes, t} from "./i18n.js";
import {getPref, setPref} from "./prefs.js";

// doing: {send(text, files), stop()}
export class Composer {
    constructor(doing) {
        this.doing = doing;
        this.files = [];
        this.running = false;
        this.area = h("textarea", {id: "compose", rows: "1", dir: "auto", "aria-label": t("compose"),
            placeholder: t("compose.hint", {model: ""}).trim(), "aria-describedby": "compose-keys",
            oninput: () => this.changed(), onkeydown: (event) => this.onKey(event), onpaste: (event) => this.onPaste(event)});
        this.list = h("div", {class: "chips"});
        this.button = iconButton("send", t("compose.send"), () => this.press(), {class: "icon-button send"});
        this.aside = h("div", {class: "compose-aside"});
        this.box = h("form", {class: "composer", onsubmit: (event) => {
            event.preventDefault();
            this.press();
        }}, this.list, this.area, h("div", {class: "compose-row"},
            iconButton("attach", t("compose.attach"), () => this.attach()), this.aside, this.button));
        this.element = h("div", {class: "compose-place"}, this.box,
            h("div", {id: "compose-keys", class: "compose-keys"}, t("compose.keys")));
        this.takeDrops();
    }

    takeDrops() {
        const {box} = this;
        box.addEventListener("dragover", (event) => {
            event.preventDefault();
            box.classList.add("dropping");
        });
        box.addEventListener("dragleave", () => box.classList.remove("dropping"));
        box.addEventListener("drop", async (event) => {
            event.preventDefault();
            box.classList.remove("dropping");
            this.add(await readFiles(event.dataTransfer.files));
        });
    }

    // The draft of a conversation is kept until it is sent.
    open(id) {
        this.id = id || "new";
        this.files = [];
        this.area.value = getPref("draft." + this.id, "");
        this.showFiles();
        this.changed(true);
    }

    setModel(name) {
        this.area.placeholder = t("compose.hint", {model: name || ""}).trim();
    }

    setRunning(running) {
        this.running = running;
        const label = t(running ? "compose.stop" : "compose.send");
        fill(this.button, icon(running ? "stop" : "send"));
        this.button.setAttribute("aria-label", label);
        this.button.title = label;
        this.changed(true);
    }

    setRunningOnce(running) {
        if (this.running !== running) this.setRunning(running);
    }

    changed(only) {
        const empty = !this.area.value.trim() && !this.files.length;
        this.button.disabled = empty && !this.running;
        this.area.style.setProperty("block-size", "auto");
        this.area.style.setProperty("block-size", `${Math.min(this.area.scrollHeight, innerHeight * 0.4)}px`);
        if (only || !this.id) return;
        clearTimeout(this.keeping);
        const {id} = this, {value} = this.area;
        this.keeping = setTimeout(() => setPref("draft." + id, value || undefined), 300);
    }

    onKey(event) {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
        event.preventDefault();
        if (!this.running) this.press();
    }

    async onPaste(event) {
        if (!event.clipboardData || !event.clipboardData.files.length) return;
        event.preventDefault();
        this.add(await readFiles(event.clipboardData.files));
    }

    async attach() {
        this.add(await readFiles(await chooseFiles("", true)));
    }

    add(files) {
        this.files.push(...files);
        this.showFiles();
        this.changed();
        this.area.focus();
    }

    showFiles() {
        fill(this.list, this.files.map((file) => h("span", {class: "chip"}, icon("file"),
            h("bdi", {}, file.name), h("span", {class: "quiet"}, bytes(file.size)),
            iconButton("close", t("compose.remove", {name: file.name}), () => {
                this.files = this.files.filter((f) => f !== file);
                this.showFiles();
                this.changed();
                this.area.focus();
            }))));
        this.list.hidden = !this.files.length;
    }

    press() {
        if (this.running) {
            this.doing.stop();
            return;
        }
        const text = this.area.value.trim(), {files} = this;
        if (!text && !files.length) return;
        clearTimeout(this.keeping);
        setPref("draft." + this.id, undefined);
        this.area.value = "";
        this.files = [];
        this.showFiles();
        this.changed(true);
        this.doing.send(text, files);
    }

    focus() {
        this.area.focus();
    }
}
