// What comes in pieces: lines, and server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
// made of them.
export async function* lines(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
        const {done, value} = await reader.read().catch((error) => {
            throw error.name === "AbortError" ? error : Object.assign(error, {broken: true});
        });
        if (done) return;
        const all = (rest + decoder.decode(value, {stream: true})).split("\n");
        rest = all.pop();
        for (const line of all) yield line.endsWith("\r") ? line.slice(0, -1) : line;
    }
}

// What the data of each is.
export async function* events(reader) {
    let data = [];
    for await (const line of lines(reader)) {
        if (line.startsWith("data:")) {
            data.push(line.slice(line[5] === " " ? 6 : 5));
        } else if (!line && data.length) {
            yield data.join("\n");
            data = [];
        }
    }
}
