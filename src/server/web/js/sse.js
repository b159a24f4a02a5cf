// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): what their data is.
export async function* events(reader) {
    const decoder = new TextDecoder();
    let rest = "", data = [];
    for (;;) {
        const {done, value} = await reader.read().catch((error) => {
            throw error.name === "AbortError" ? error : Object.assign(error, {broken: true});
        });
        if (done) return;
        const lines = (rest + decoder.decode(value, {stream: true})).split("\n");
        rest = lines.pop();
        for (const raw of lines) {
            const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
            if (line.startsWith("data:")) {
                data.push(line.slice(line[5] === " " ? 6 : 5));
            } else if (!line && data.length) {
                yield data.join("\n");
                data = [];
            }
        }
    }
}
