// /metrics, in Prometheus' text format: a map from a name, with its labels, to a number.
import {getText} from "./api.js";

export function parseMetrics(text) {
    const found = new Map();
    for (const line of text.split("\n")) {
        const parts = /^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?) (\S+)/.exec(line);
        if (parts) found.set(parts[1], Number(parts[2]));
    }
    return found;
}

export async function readMetrics(options) {
    return parseMetrics(await getText("metrics", options));
}
