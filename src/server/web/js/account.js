// Who the server takes this browser's user for, and what that lets them do. What it said last holds while it is away.
import {currentKey, getJson, setKey, setOwner} from "./api.js";
import {Emitter} from "./emitter.js";
import {getPref, setPref} from "./prefs.js";
import {setAccount} from "./store.js";

const NOBODY = {id: "", name: "", admin: false, manages: false, pulls: false, keeps: false};

export const account = new Emitter(); // "change"

const known = {who: NOBODY};

export const who = () => known.who;

function take(said) {
    const now = {id: said.id || "", name: said.name || "", admin: Boolean(said.admin), manages: Boolean(said.manages),
        pulls: Boolean(said.pulls), keeps: Boolean(said.keeps)};
    const same = JSON.stringify(now) === JSON.stringify(known.who);
    known.who = now;
    setOwner(now.id);
    setAccount(now.id);
    setPref("account", now);
    if (!same) account.emit("change");
}

// As the server said last, until it says more.
export function recallAccount() {
    const last = currentKey() && getPref("account", null);
    if (last) take(last);
}

export async function askWho() {
    take(await getJson("v1/key"));
}

export function forgetKey() {
    setKey("");
    take(NOBODY);
}
