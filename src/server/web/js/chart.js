// Lines of the last minutes, drawn as SVG.
import {svg} from "./dom.js";

const WIDTH = 300, HEIGHT = 72;

// The next of 1, 2, 5, 10, 20, ... above a value.
export function roundUp(value) {
    if (!(value > 0)) return 1;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((m) => m * power).find((top) => top >= value * 0.999);
}

function points(values, room, top) {
    const step = WIDTH / (room - 1);
    return values.map((v, at) => `${(WIDTH - (values.length - 1 - at) * step).toFixed(1)},${(HEIGHT - 2 - (v / top) * (HEIGHT - 6)).toFixed(1)}`);
}

// lines: [{values, kind}], oldest first; room: how many fit
export function chart(lines, room, label, most) {
    const top = most || roundUp(Math.max(1e-9, ...lines.flatMap((line) => line.values)));
    const drawn = lines.flatMap(({values, kind}) => {
        if (values.length < 2) return [];
        const all = points(values, room, top), first = all[0].split(",")[0];
        return [svg("polygon", {class: "area " + kind, points: `${first},${HEIGHT} ${all.join(" ")} ${WIDTH},${HEIGHT}`}),
            svg("polyline", {class: "line " + kind, points: all.join(" ")})];
    });
    return svg("svg", {class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label},
        svg("line", {class: "ground", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1}), ...drawn);
}

// Lines whose points lie at places from 1 to `last`, which may be far apart; the smallest value is at the ground.
export function curves(lines, last, label) {
    const values = lines.flatMap((line) => line.points.map(([, y]) => y));
    const low = Math.min(...values), high = Math.max(...values), most = 500;
    const x = (at) => ((last > 1 ? (at - 1) / (last - 1) : 0) * WIDTH).toFixed(1);
    const y = (value) => (HEIGHT - 3 - ((value - low) / (high - low || 1)) * (HEIGHT - 7)).toFixed(1);
    const drawn = lines.filter((line) => line.points.length).map(({points: all, kind}) => {
        const each = Math.ceil(all.length / most), some = all.filter((_, at) => at % each === 0 || at === all.length - 1);
        return svg("polyline", {class: "line " + kind, points: some.map(([at, value]) => `${x(at)},${y(value)}`).join(" ")});
    });
    return svg("svg", {class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label},
        svg("line", {class: "ground", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1}), ...drawn);
}
