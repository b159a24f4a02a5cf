// The place of the first character in which two texts differ, from 1.
export function difference(a, b) {
    const one = [...a], other = [...b];
    const at = one.findIndex((c, i) => c !== other[i]);
    return (at < 0 ? one.length : at) + 1;
}
