// What an answer waits for, as far as the server tells: others before it, or its own prompt.
import {t} from "./i18n.js";
import {readMetrics} from "./metrics.js";

const EACH_MS = 1000;

export class Waiting {
    constructor(told) {
        this.told = told;
        this.words = "";
        this.timer = null;
    }

    start() {
        if (this.timer) return;
        this.words = t("message.waiting");
        this.timer = setInterval(() => this.ask(), EACH_MS);
    }

    async ask() {
        try {
            const found = await readMetrics({quiet: true});
            const waiting = found.get("vllm:num_requests_waiting") || 0;
            this.words = waiting ? t("message.queue", {count: waiting}) : t("message.reading");
        } catch {
            this.words = t("message.waiting");
        }
        if (this.timer) this.told();
    }

    stop() {
        clearInterval(this.timer);
        this.timer = null;
    }
}
