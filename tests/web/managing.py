"""The views beside the chat: models that are got, loaded and unloaded, keys, and what the server does.

usage: managing.py GYR STAND_IN
"""
import os
import re
import sys
import tempfile

from web import GYR, HERE, ROOT, Server, ask, opened, press, run_cases, signed_in, the_browser, trouble, with_keys

sys.path.insert(0, os.path.join(HERE, "../hub"))
from fake_hub import Hub, Repo  # noqa: E402

POET = (ROOT / "models/poet.gguf").read_bytes()


def models_are_loaded_and_unloaded():
    with Server(GYR) as s:
        page = opened(s, "#/models")
        page.until("document.querySelector('.card .badge.good')")
        before = page.until("document.querySelector('.memory-line').innerText")
        press(page, "Unload")
        page.until("document.querySelector('.card .badge').innerText === 'not loaded'")
        card = page.text(".card")
        page.run("document.querySelector('.card summary').click()")
        page.until("document.querySelector('.card details div').innerText.length > 10")
        press(page, "Load")
        page.until("document.querySelector('.card .badge.good') && document.querySelector('.card details').open")
        press(page, "Chat")
        page.until("document.querySelector('.chat.empty')")
        ask(page, "a poem")
        problems = trouble(the_browser(), s)
    if not re.match(r"[\d.]+ MB of [\d.]+ [GT]B of memory", before) or "Fits into memory" not in card or "Memory needed" not in card:
        problems.append(f"{before!r} {card!r}")
    return problems


def a_model_is_got_by_its_name():
    hub = Hub({"org/poet": Repo({"poet-Q8_0.gguf": POET})}, (), pace=(1 << 20, 0.1))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HF_ENDPOINT=hub.url, GYR_MODELS=folder)
        try:
            with Server(GYR, "-m", str(ROOT / "models/poet.gguf")) as s:
                page = opened(s, "#/models")
                page.until("!document.querySelector('.pull').hidden")
                page.type(".pull input", "llama3")
                press(page, "Get")
                wrong = page.until("document.querySelector('.pull .wrong').innerText")
                page.run("document.querySelector('.pull input').value = ''")
                page.type(".pull input", "hf:org/poet")
                press(page, "Get")
                at = page.until("(document.querySelector('.pull [role=status]').innerText.match(/^[1-9].*MB.*/) || [''])[0]")
                press(page, "Stop")
                stopped = page.until("document.querySelector('.pull .wrong').innerText")
                press(page, "Get")
                page.until("document.querySelectorAll('.cards .card').length === 2")
                page.until("document.querySelector('.pull input').value === ''")
                names = page.run("[...document.querySelectorAll('.cards h2')].map((e) => e.innerText)")
                problems = trouble(the_browser(), s, ("400",))
        finally:
            hub.close()
            del os.environ["HF_ENDPOINT"], os.environ["GYR_MODELS"]
    if "hf:OWNER/NAME" not in wrong or "of 7.1 MB" not in at or "What came is kept" not in stopped or names != ["poet", "hf:org/poet"]:
        problems.append(f"{wrong!r} {at!r} {stopped!r} {names}")
    return problems


def who_may_not_is_not_offered_it():
    with with_keys("ann") as (s, keys):
        page = signed_in(s, keys["ann"])
        page.run("location.hash = '#/models'")
        page.until("document.querySelector('.card .badge.good') && document.querySelector('.pull').hidden")
        offered = page.run("[...document.querySelectorAll('main button, .views a')].filter((e) => e.offsetParent).map((e) => e.innerText)")
        page.run("location.hash = '#/keys'")
        wrong = page.until("document.querySelector('.view > .wrong').innerText")
        problems = trouble(the_browser(), s, ("401", "403"))
    return problems + ([] if "administrator" in wrong and not {"Unload", "Get", "Keys"} & set(offered) else [f"{wrong!r} {offered}"])


def keys_are_made_and_taken_back():
    with with_keys("root", "ann") as (s, keys):
        page = signed_in(s, keys["root"])
        ask(page, "a poem")
        page.run("document.querySelector('.views a[href=\"#/keys\"]').click()")
        page.until("document.querySelector('.list tbody tr')")
        press(page, "New key")
        page.until("document.querySelector('dialog [name=name]')")
        page.type("dialog [name=name]", "no name!")
        press(page, "New key", "document.querySelector('dialog')")
        wrong = page.until("document.querySelector('dialog .wrong').innerText")
        page.run("document.querySelector('dialog [name=name]').value = ''")
        page.type("dialog [name=name]", "bob")
        page.type("dialog [name=requests_per_minute]", "60")
        press(page, "New key", "document.querySelector('dialog')")
        made = page.until("(document.querySelector('dialog input.mono') || {}).value")
        bob = {"Authorization": "Bearer " + made}
        works = s.send("GET", "/v1/models", None, bob)[0]
        page.key("Escape")
        page.until("document.querySelectorAll('.list')[0].querySelectorAll('tbody tr').length === 3")
        rows = page.text(".table-place")
        page.run("document.querySelector('[aria-label=\"Take back the key of bob\"]').click()")
        page.until("document.querySelector('dialog .danger')")
        page.run("document.querySelector('dialog .danger').click()")
        page.until("document.querySelectorAll('.list')[0].querySelectorAll('tbody tr').length === 2")
        gone = s.send("GET", "/v1/models", None, bob)[0]
        usage = page.run("document.querySelectorAll('.list')[1].innerText")
        problems = trouble(the_browser(), s, ("401", "400"))
    if "a name has" not in wrong or (works, gone) != (200, 401) or "60 requests/min" not in rows or made in rows or "poet" not in usage:
        problems.append(f"{wrong!r} {works} {gone} {rows!r} {usage!r}")
    return problems


def energy_that_is_not_known_is_not_zero():
    with Server(GYR) as s:
        page = opened(s, "#/now")
        page.until("document.querySelectorAll('.tile').length > 7")
        tile = page.run("[...document.querySelectorAll('.tile')].find((e) => e.innerText.startsWith('Energy')).innerText")
        known = "gyr:energy_joules_total" in s.send("GET", "/metrics")[2].decode()
        problems = trouble(the_browser(), s)
    return problems + ([] if known == ("unknown" not in tile) and "0 W" not in tile.split("\n") else [f"{known} {tile!r}"])


if __name__ == "__main__":
    run_cases(keys_are_made_and_taken_back, a_model_is_got_by_its_name, more=(
        models_are_loaded_and_unloaded, who_may_not_is_not_offered_it, energy_that_is_not_known_is_not_zero))
