"""Names, what the hub says of them, and what is chosen.

usage: listing_test.py GYR
"""
import contextlib
import json
import shutil
import socket
import ssl
import threading

from trial import DATA, FALCON, FOLDER, NAME, ONE, REPO, SMALL, Trial, refused
from fake_hub import Repo, listing_entry
from house import Skip, command, run


def refusals_say_what_to_do():
    return (refused(3, "not on the hub, or private (401); check the name, or set HF_TOKEN", fault="401") +
            refused(3, "does not take this HF_TOKEN (401); make a new one at", fault="401", HF_TOKEN="hf_x") +
            refused(3, "gated (403); accept its terms at", "org/model, then set HF_TOKEN", fault="403:GatedRepo") +
            refused(3, "gated (401); accept its terms", fault="401:GatedRepo") +
            refused(3, "HF_TOKEN's owner has no access (403)", fault="403", HF_TOKEN="hf_x") +
            refused(3, "has no such revision (404)", fault="404:RevisionNotFound") +
            refused(3, "the model is not on the hub (404)", name="hf:org/other") +
            refused(3, "the hub answers 400 for the model", fault="400"))


def redirects_do_not_go_in_circles():
    return refused(3, "the hub redirects in circles", path="*resolve*", fault="loop")


def redirects_stay_on_the_network():
    return refused(3, "another protocol", path="*resolve*", fault="send_to:file:///etc/passwd")


def a_hub_that_is_not_there_is_told():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return refused(3, "check the network, and HF_ENDPOINT",
                       HF_ENDPOINT=f"http://127.0.0.1:{s.getsockname()[1]}")


def heard_by_a_hub_with_its_own_certificate(t, **env):
    """The first byte of a request that such a hub on https gets, if any."""
    if not shutil.which("openssl"):
        raise Skip("no openssl to make a certificate with")
    pem = t.folder / "hub.pem"
    made = command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
                   "-keyout", pem, "-out", t.folder / "cert.pem")
    if made.returncode:
        raise Skip("openssl makes no certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(t.folder / "cert.pem", pem)
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as s:
        def serve():
            with contextlib.suppress(OSError):
                with context.wrap_socket(s.accept()[0], server_side=True) as c:
                    heard.append(c.recv(1))
            s.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        t.pull(NAME, HF_ENDPOINT=f"https://localhost:{s.getsockname()[1]}", HF_TOKEN="hf_secret", **env)
        thread.join(5)
    return [byte for byte in heard if byte]


def certificates_are_checked():
    """A hub that nobody vouches for gets no request, so no token."""
    with Trial(REPO) as t:
        for named in {}, {"SSL_CERT_FILE": str(t.folder / "none.pem")}:
            heard = heard_by_a_hub_with_its_own_certificate(t, **named)
            t.expect(t.status == 3 and "ca-certificates is installed" in t.err and "trying again" not in t.err,
                     "should refuse the certificate")
            t.expect(not heard, f"the server heard {heard}")
        return t.problems


def certificates_can_be_named():
    with Trial(REPO) as t:
        heard = heard_by_a_hub_with_its_own_certificate(t, SSL_CERT_FILE=str(t.folder / "cert.pem"))
        t.expect(heard == [b"G"], f"should ask the hub whose certificate is named; it heard {heard}")
        return t.problems


def the_token_goes_to_the_hub_alone():
    with Trial(REPO, [("/cdn/*", "cut:1000")]) as t:
        t.pull(NAME, HF_TOKEN="hf_secret").has(ONE)
        for seen in t.hub.seen:
            token, ours = seen["headers"].get("Authorization"), seen["port"] == t.hub.main.server_port
            t.expect(token == ("Bearer hf_secret" if ours else None), f"{seen['path']}: token {token}")
        t.expect(len({s["port"] for s in t.hub.seen}) == 2, "should have seen both hosts")
        t.pull(NAME, HF_TOKEN="hf secret")
        t.expect(t.status == 2 and "hf secret" not in t.err, "should refuse a bad token without showing it")
        t.pull(NAME, HF_TOKEN="hf_secret", HF_ENDPOINT=f"http://localhost.localdomain.invalid:{t.hub.main.server_port}")
        t.expect("hf_secret" not in t.err, "should not show the token")
        return t.problems


def proxies_are_used():
    with Trial(REPO) as t:
        t.pull(NAME, http_proxy=t.hub.url, HF_ENDPOINT="http://hub.invalid")
        t.expect("Could not resolve" not in t.err and t.hub.seen, "should ask the proxy")
        t.expect(t.hub.seen[0]["raw"].startswith("http://hub.invalid/api/"), "should ask it for the whole address")
        t.pull(NAME, http_proxy=t.hub.url, HF_ENDPOINT="http://hub.invalid", HF_TOKEN="hf_secret")
        t.expect(all("Authorization" not in s["headers"] for s in t.hub.seen), "should send no token over http")
        return t.problems


def endpoints_are_checked():
    problems = []
    for url in ("ftp://hub", "hub", "http://", "http://me:pass@hub", "http://hub/?x", "http://hub/ x"):
        with Trial(REPO) as t:
            t.pull(NAME, HF_ENDPOINT=url).refuses(2, "HF_ENDPOINT: not the address of a hub")
            t.expect("pass" not in t.err, "should not show a password")
            problems += t.problems
    return problems


def hostile_lists_are_refused():
    def listed(**changes):
        return {"org/model": Repo({}, entries=[{**listing_entry("m.gguf", DATA), **changes}])}

    problems = []
    for path in ("../m.gguf", "/m.gguf", "a/../../m.gguf", "a//m.gguf", "./m.gguf", "a/", "", "m\n.gguf", "..",
                 "a\\..\\m.gguf", "m" * 300 + ".gguf", 7, None):
        problems += refused(4, "has a name that no file may have", repos=listed(path=path))
    for size in (-1, 1 << 60, "7", 1.5, None):
        problems += refused(4, "has a size that no file has", repos=listed(lfs={"oid": "0" * 64, "size": size}))
    for oid in ("", "0" * 63, "x" * 64, "0" * 65, 7, None):
        problems += refused(4, "has no checksum", repos=listed(lfs={"oid": oid, "size": 5}))
    problems += refused(4, "has an entry without a type", repos=listed(type=None))
    twice = [listing_entry("m.gguf", DATA)] * 2
    problems += refused(4, "has a file twice", repos={"org/model": Repo({}, entries=twice)})
    many = [listing_entry(f"{i}.gguf", b"") for i in range(10_001)]
    problems += refused(4, "is too long", repos={"org/model": Repo({}, entries=many, page=2000)})
    crowd = [listing_entry(f"{i}.gguf", b"") for i in range(100)]
    problems += refused(4, "is too long", repos={"org/model": Repo({}, entries=crowd, page=2)})
    for text in ("{}", "[", "[1]", "nonsense", "[" * 5000, '[{"type":"file","type":"file"}]'):
        problems += refused(4, "", path="*tree*", fault="text:" + text)
    for text in ("[]", "{}", '{"sha":7}', '{"sha":"../../x"}', ""):
        problems += refused(4, "", path="*revision*", fault="text:" + text)
    return problems + refused(4, "a list that is too long", path="*tree*", fault="big:10000000")


def long_lists_come_in_pages():
    files = {f"{i:03}.txt": b"" for i in range(50)} | ONE
    with Trial({"org/model": Repo(files, page=7)}) as t:
        t.pull(NAME).has(ONE)
        t.expect(len(t.requests("/tree/")) == 8, "should have asked for 8 pages")
        return t.problems


def names_are_checked():
    problems = []
    for name in ("hf:", "hf:model", "hf:/model", "hf:org/", "hf:org/mo del", "hf:org/../x", "hf:org/model@",
                 "hf:org/model:", "hf:org/model:../x", "hf:org/model@a/../b", "hf:org/model:/x", "hf:org/m\x1b[0m",
                 "hf:-org/model", "hf:org/" + "m" * 100, "hf:org/model/x"):
        problems += refused(2, "not a model's name; write hf:OWNER/NAME", name=name)
    return problems


def chosen(files, name=NAME, want=None, sizes=None):
    """Which of these files a pull takes."""
    entries = [{**listing_entry(f, SMALL), "size": 0} for f in files]
    for entry in entries:
        entry["lfs"]["size"] = (sizes or {}).get(entry["path"], len(SMALL))
    with Trial({"org/model": Repo({f: SMALL for f in files}, entries=entries)}) as t:
        t.pull(name)
        if isinstance(want, str):
            t.expect(want in t.err and t.status != 0, f"{name} of {files} should say {want}")
        else:
            t.has({f: SMALL for f in want})
        return t.problems


def of_many_files_the_sensible_one_is_taken():
    types = [f"M-{t}.gguf" for t in ("Q2_K", "Q3_K_M", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")]
    huge, large = 1 << 45, "its smallest GGUF file takes"
    split = [f"Q4_K_M/M-Q4_K_M-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    return (chosen(types, want=["M-Q4_K_M.gguf"]) +
            chosen(types, NAME + ":Q8_0", ["M-Q8_0.gguf"]) + chosen(types, NAME + ":q8_0", ["M-Q8_0.gguf"]) +
            chosen(types, NAME + ":M-F16.gguf", ["M-F16.gguf"]) +
            chosen(["M-IQ1_S.gguf", "M-IQ2_M.gguf", "M-TQ1_0.gguf"], want=["M-IQ2_M.gguf"]) +
            chosen(["M-IQ2_M.gguf", "M-Q2_K.gguf", "M-IQ3_XXS.gguf"], want=["M-IQ3_XXS.gguf"]) +
            chosen(types, NAME + ":Q4_K", 'no file and no GGUF type "Q4_K"') +
            chosen(types, want=large, sizes=dict.fromkeys(types, huge)) +
            chosen(split + ["M-Q8_0.gguf"], want=split) + chosen(split + types, NAME + ":" + split[1], split) +
            chosen(split[:2], want="2 of its 3 parts are on the hub") +
            chosen(["mmproj-M-F16.gguf", "M-Q8_0.gguf", "imatrix.gguf"], want=["M-Q8_0.gguf"]) +
            chosen(["x.bin", "config.json"], want="only pickled weights") +
            chosen(["README.md"], want="has no GGUF file and no config.json") +
            chosen(["config.json", "model.safetensors", "pytorch_model.bin", "x/model.onnx", "tokenizer.json"],
                   want=["config.json", "model.safetensors", "tokenizer.json"]) +
            chosen(["config.json", "model.safetensors", "M-Q8_0.gguf"], NAME + ":safetensors",
                   ["config.json", "model.safetensors"]))


def a_type_is_known_however_it_is_written():
    low = [f"m_{t}.gguf" for t in ("q2_k", "q4_k_m", "q8_0")]
    short = ["Phi-3-mini-4k-instruct-q4.gguf", "Phi-3-mini-4k-instruct-fp16.gguf"]
    gone = ["m-Q4_0_4_4.gguf", "m.Q4_0_8_8.gguf"]
    return (chosen(low, want=["m_q4_k_m.gguf"]) + chosen(low, NAME + ":q8_0", ["m_q8_0.gguf"]) +
            chosen(low, NAME + ":Q4_K", 'no file and no GGUF type "Q4_K"') +
            chosen(short, want=[short[0]]) + chosen(short, NAME + ":fp16", [short[1]]) +
            chosen(gone, want="its GGUF files are of types that gyr does not run, such as Q4_0_4_4") +
            chosen(gone, NAME + ":Q4_0_8_8", "its GGUF files for Q4_0_8_8 are of types that gyr does not run") +
            chosen(gone + ["m-Q2_K.gguf"], want=["m-Q2_K.gguf"]) +
            chosen(gone, NAME + ":m-Q4_0_4_4.gguf", ["m-Q4_0_4_4.gguf"]))


def templates_beside_the_first_come_too():
    more = "additional_chat_templates/"
    files = ["config.json", "model.safetensors", "chat_template.jinja", more + "tool_use.jinja"]
    return chosen(files + [more + "notes.txt", more + "deep/x.jinja", "other/y.jinja"], want=files)


def modules_of_embedding_models_come_too():
    files = ["config.json", "model.safetensors", "modules.json", "config_sentence_transformers.json",
             "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"]
    others = ["2_Dense/pytorch_model.bin", "onnx/config.json", "1_Pooling/deep/config.json"]
    return (chosen(files + others, want=files) +
            chosen(["config.json", "model.safetensors", "1_Pooling/config.json"], want=["config.json", "model.safetensors"]))


def what_does_not_fit_gives_way():
    """Of two types the less welcome one, where only that fits the memory."""
    files = {"M-Q4_K_M.gguf": SMALL, "M-Q3_K_M.gguf": DATA}
    entries = [listing_entry(f, d) for f, d in files.items()]
    entries[0]["lfs"]["size"] = 1 << 45
    with Trial({"org/model": Repo(files, entries=entries)}) as t:
        t.pull(NAME).has({"M-Q3_K_M.gguf": DATA})
        return t.problems


def folders_come_with_the_weights_of_their_index():
    repo = {"org/model": Repo({**FOLDER, "consolidated.safetensors": DATA, "pytorch_model.bin": DATA})}
    problems = []
    with Trial(repo, lfs_from=10_000) as t:
        path = t.pull(NAME).has(FOLDER)
        prompt = ("logits", "--tokens", "1 2 3", "-m")
        t.gyr(*prompt, NAME)
        pulled = t.out
        t.gyr(*prompt, FALCON / "40b/hf")
        t.expect(pulled == t.out and pulled, f"{path} should give the same logits")
        problems += t.problems
    index = json.dumps({"weight_map": {"a": "../../../m.safetensors"}}).encode()
    hostile = {"config.json": b"{}", "model.safetensors.index.json": index}
    with Trial({"org/model": Repo(hostile)}) as t:
        t.pull(NAME)
        t.expect(t.status == 4 and "its index names weights that are not there" in t.err, "should refuse the index")
        problems += t.problems
    return problems


if __name__ == "__main__":
    run(refusals_say_what_to_do, redirects_do_not_go_in_circles, redirects_stay_on_the_network,
        a_hub_that_is_not_there_is_told, certificates_are_checked, certificates_can_be_named, the_token_goes_to_the_hub_alone, proxies_are_used,
        endpoints_are_checked,
        hostile_lists_are_refused, long_lists_come_in_pages, names_are_checked,
        of_many_files_the_sensible_one_is_taken, a_type_is_known_however_it_is_written,
        templates_beside_the_first_come_too, modules_of_embedding_models_come_too, what_does_not_fit_gives_way,
        folders_come_with_the_weights_of_their_index)
