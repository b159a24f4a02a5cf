// Who wants to know of what happens: on(name, listener) gives the function that ends it.
export class Emitter {
    #listeners = new Map();

    on(name, listener) {
        const all = this.#listeners.get(name) || new Set();
        this.#listeners.set(name, all.add(listener));
        return () => all.delete(listener);
    }

    emit(name, value) {
        for (const listener of [...(this.#listeners.get(name) || [])]) listener(value);
    }
}
