// What the server does now, from its metrics.
import {chart} from "./chart.js";
import {fill, h} from "./dom.js";
import {bytes, number, t} from "./i18n.js";
import {readMetrics} from "./metrics.js";

const EACH_MS = 1000, ROOM = 120;

function duration(seconds) {
    const s = Math.floor(seconds), m = Math.floor(s / 60), hours = Math.floor(m / 60);
    if (hours >= 24) return t("now.days", {days: Math.floor(hours / 24), hours: hours % 24});
    return hours ? t("now.hours", {hours, minutes: m % 60}) : t("now.minutes", {minutes: m, seconds: s % 60});
}

export class NowView {
    constructor() {
        this.samples = [];
        this.tiles = h("div", {class: "tiles"});
        this.wrong = h("p", {class: "wrong", role: "alert"});
        this.element = h("div", {class: "view", tabIndex: 0}, h("h1", {}, t("now.title")), h("p", {class: "lead"}, t("now.note")), this.wrong, this.tiles);
        this.ask();
    }

    async ask() {
        if (this.closed) return;
        if (!document.hidden) {
            try {
                this.take(await readMetrics(), performance.now() / 1000);
                fill(this.wrong);
            } catch (error) {
                fill(this.wrong, error.message);
            }
        }
        this.timer = setTimeout(() => this.ask(), EACH_MS);
    }

    take(found, at) {
        const get = (name) => found.get(name) || 0;
        const last = this.samples.at(-1);
        const rate = (name) => (last ? Math.max(0, get(name) - (last.found.get(name) || 0)) / Math.max(0.1, at - last.at) : 0);
        this.samples.push({at, found, answers: rate("vllm:generation_tokens_total"), prompts: rate("vllm:prompt_tokens_total"),
            running: get("vllm:num_requests_running"), waiting: get("vllm:num_requests_waiting"), memory: get("gyr:kv_cache_bytes")});
        if (this.samples.length > ROOM) this.samples.shift();
        this.show(get);
    }

    tile(name, value, note, lines, most) {
        const values = lines ? lines[0].values : [];
        const drawn = lines ? chart(lines, ROOM, t("now.chart", {name, value: values.at(-1) === undefined ? "" : number(values.at(-1), 1),
            most: number(Math.max(0, ...values), 1), seconds: values.length}), most) : null;
        return h("section", {class: "tile"}, h("h2", {}, name), h("p", {class: "value"}, value), note ? h("p", {class: "hint"}, note) : null, drawn);
    }

    // What the processors take, of a machine that tells; of another it is not known, which is not nothing.
    energy() {
        const name = "gyr:energy_joules_total", {found} = this.samples.at(-1), known = this.samples.filter((s) => s.found.has(name));
        if (!found.has(name)) return this.tile(t("now.energy"), t("now.energy.unknown"), t("now.energy.unknown.note"));
        const first = known.at(-Math.min(known.length, 6)), last = known.at(-1);
        const watts = last.at > first.at ? (last.found.get(name) - first.found.get(name)) / (last.at - first.at) : null;
        return this.tile(t("now.energy"), watts === null ? "…" : t("now.watts", {count: number(watts, 1)}),
            t("now.energy.note", {all: number(found.get(name) / 3600, 1)}));
    }

    show(get) {
        const now = this.samples.at(-1), line = (key, kind) => ({kind, values: this.samples.map((s) => s[key])});
        const asked = get("vllm:prefix_cache_queries_total"), hits = get("vllm:prefix_cache_hits_total");
        const legend = (pairs) => h("span", {class: "legend"}, pairs.map(([kind, value, words]) => h("span", {class: kind}, h("b", {}, value), " " + words)));
        const limit = get("gyr:kv_cache_limit_bytes");
        fill(this.tiles, [
            this.tile(t("now.rate"), legend([["one", number(now.answers, 1), t("now.rate.answers")], ["two", number(now.prompts, 1), t("now.rate.prompts")]]),
                null, [line("answers", "one"), line("prompts", "two")]),
            this.tile(t("now.requests"), legend([["one", number(now.running), t("now.running")], ["two", number(now.waiting), t("now.waiting")]]),
                null, [line("running", "one"), line("waiting", "two")]),
            this.tile(t("now.memory"), bytes(now.memory), [limit ? t("now.memory.of", {used: bytes(now.memory), all: bytes(limit)}) + " · " : "",
                t("now.conversations", {count: get("gyr:conversations")})], [line("memory", "one")], limit || undefined),
            this.tile(t("now.cache"), asked ? number((100 * hits) / asked, 1) + "%" : "–", t("now.cache.note")),
            this.tile(t("now.tokens"), number(get("vllm:generation_tokens_total")), `${number(get("vllm:prompt_tokens_total"))} ${t("now.rate.prompts")}`),
            this.tile(t("now.answers"), number(["stop", "length"].reduce((sum, why) => sum + get(`vllm:request_success_total{finished_reason="${why}"}`), 0)),
                t("now.answers.note", {cancelled: number(get("gyr:answers_cancelled_total")), failed: number(get("gyr:answers_failed_total"))})),
            this.energy(),
            this.tile(t("now.disk"), bytes(get("gyr:disk_cache_bytes"))),
            this.tile(t("now.uptime"), duration(get("gyr:uptime_seconds")), `${t("now.connections")}: ${number(get("gyr:connections"))}`),
        ]);
    }

    close() {
        this.closed = true;
        clearTimeout(this.timer);
    }
}
