"""Suites of others that are no tests of this folder. Each is run by tools/check/conformance as
suite(cache, python, environ) and gives (version, passed, failed, skipped, output)."""
import ast
import json
import os
import re
import subprocess
import tarfile

from outside import HERE, Failed, checkout, node_of, pytest_of, quietly, server_class

API = ("chat", "completions", "responses", "models", "embeddings", "files", "batches", "fine_tuning")
SCHEMAS = 500  # of MaskBench


def skips(name):
    return os.path.join(HERE, name)


def served(environ, names):
    """A server whose models have these names."""
    return server_class()(environ["GYR"], *(x for name in sorted(names) for x in ("-m", environ["POET"], "--alias", name)))


def base(server, environ, **more):
    return dict(environ, TEST_API_BASE_URL=f"http://{server.host}:{server.port}/v1", **more)


# -------------------------------------------------------------------------------------------------- OpenAI's clients

def openai_python(cache, python, environ):
    """The client's own tests come with its source package."""
    version = quietly(python, "-c", "import openai; print(openai.__version__)")
    folder = os.path.join(cache, f"openai-{version}")
    if not os.path.exists(folder):
        quietly(python, "-m", "pip", "-q", "download", "--no-deps", "--no-binary", "openai", "-d", cache, f"openai=={version}")
        with tarfile.open(folder + ".tar.gz") as archive:
            archive.extractall(cache, filter="data")
    places = [f"tests/api_resources/{name}" for stem in API for name in (stem, f"test_{stem}.py")
              if os.path.exists(os.path.join(folder, "tests/api_resources", name))]
    found = quietly("grep", "-rhoE", 'model="[^"]*"', *places, cwd=folder).split("\n")
    with served(environ, {line.split('"')[1] for line in found}) as s:
        options = ["-p", "skips", "-n", "0", *places]
        return (version, *pytest_of(python, options, folder, base(s, environ, PYTHONPATH=HERE, SKIPS=skips("openai_skips.txt")),
                                    os.path.join(cache, "openai-tests.xml")))


def openai_node(cache, _, environ):
    """The tests are in the repository only; they are run with the package of their version."""
    folder, tag = checkout(cache, "openai/openai-node", lambda: "v" + quietly("npm", "view", "openai", "version"))
    modules, version = node_of(cache, f"openai@{tag.strip('v')}", "jest@30", "@swc/core", "@swc/jest")
    found = quietly("grep", "-rhoE", r"(model: |models\.retrieve\()'[^']*'", "tests/api-resources", cwd=folder).split("\n")
    names = "|".join(API).replace("_", "-")
    report, place = os.path.join(cache, "openai-node-tests.json"), f"tests/api-resources/({names})(/|\\.test)"
    if os.path.exists(report):
        os.remove(report)
    with served(environ, {line.split("'")[1] for line in found if "dall" not in line}) as s:
        done = subprocess.run([os.path.join(modules, ".bin/jest"), "--config=" + os.path.join(HERE, "openai_node.config.js"),
                               "--cacheDirectory=" + os.path.join(cache, "jest"), "--runInBand", "--json",
                               "--outputFile=" + report, place], cwd=folder, capture_output=True, text=True, check=False,
                              env=base(s, environ, SOURCES=folder, NODE_MODULES=modules, SKIPS=skips("openai_node_skips.txt")))
    if not os.path.exists(report):
        raise Failed(done.stdout[-2000:] + done.stderr[-2000:])
    with open(report, encoding="utf-8") as f:
        told = json.load(f)
    failed = told["numFailedTests"] + told["numRuntimeErrorTestSuites"]
    return version, told["numPassedTests"], failed, told["numPendingTests"], done.stderr if failed or done.returncode else ""


# -------------------------------------------------------------------------------------------------- schemas

def grammar(python, environ, *options):
    """(What tools/check/grammar counts, its lines)."""
    done = subprocess.run([python, os.path.join(HERE, "../../tools/check/grammar"), environ["LIBGYR"], environ["POET"], *options],
                          capture_output=True, text=True, check=False)
    lines = done.stdout.split("\n")
    counts = [line[line.index("{"):] for line in lines if line.startswith(("{", "total {"))]
    if not counts:
        raise Failed(f"grammar {' '.join(options)}: status {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return ast.literal_eval(counts[-1]), lines


def judged(counts, wrong, listed):
    """(Passed, failed, skipped, output): what is wrong and not listed has failed. An invalid instance that is taken cannot be
    listed, and a line of the list that says nothing any more has failed, too."""
    with open(skips(listed), encoding="utf-8") as f:
        known = [line.split("  ")[0] for line in f if line.strip() and line[0] != "#"]
    fine = [line for line in wrong if re.match("refused|valid refused", line) and any(re.search(k, line) for k in known)]
    failed = [line for line in wrong if line not in fine]
    failed += [f"{listed}: nothing is {k!r}" for k in known if not any(re.search(k, line) for line in fine)]
    failed += [f"{counts['masks failed']} masks failed"] if "masks failed" in counts else []
    skipped = counts.get("tests of refused schemas", 0) + counts.get("valid accepted respelled", 0) + len(fine)
    return counts.get("valid accepted", 0) + counts.get("invalid refused", 0), len(failed), skipped, "\n".join(failed)


def json_schema_suite(cache, python, environ):
    folder, version = checkout(cache, "json-schema-org/JSON-Schema-Test-Suite")
    counts, lines = grammar(python, environ, "suite", os.path.join(folder, "tests/draft2020-12"))
    wrong = [line for line in lines if line.startswith(("ACCEPTED THOUGH INVALID", "refused though valid"))]
    return (version, *judged(counts, wrong, "json_schema_skips.txt"))


def maskbench(cache, python, environ):
    folder, version = checkout(cache, "guidance-ai/jsonschemabench")
    counts, lines = grammar(python, environ, "bench", os.path.join(folder, "maskbench/data"), str(SCHEMAS))
    wrong = [line for line in lines if re.match(r"(invalid accepted|valid refused) ", line)]
    return (f"{version}, {SCHEMAS} schemas", *judged(counts, wrong, "maskbench_skips.txt"))
