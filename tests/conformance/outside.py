"""What is needed of PyPI, npm and GitHub, each thing installed once into a cache."""
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as tree

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    """A program that a suite needs did not do its work."""


def quietly(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


def once(folder, fill):
    """The folder, which `fill` makes if it is not there; what is half done is done again."""
    mark = os.path.join(folder, "complete")
    if not os.path.exists(mark):
        fill()
        with open(mark, "w", encoding="utf-8"):
            pass
    return folder


def python_of(cache, packages):
    """(Python with the packages and pytest, version of the first)."""
    main = packages[0].split("[")[0]
    folder = os.path.join(cache, re.sub(r"[^a-z0-9.]+", "-", " ".join(["python", *packages])))
    python = os.path.join(folder, "bin/python")

    def fill():
        quietly(sys.executable, "-m", "venv", "--clear", folder)
        quietly(python, "-m", "pip", "-q", "install", "pytest", *packages)

    once(folder, fill)
    return python, quietly(python, "-c", f"import importlib.metadata as m; print(m.version('{main}'))")


def node_of(cache, package, *more):
    """(node_modules with the packages, version of the first)."""
    folder = os.path.join(cache, "node-" + package.strip("@").replace("/", "-"))
    modules, name = os.path.join(folder, "node_modules"), "@".join(package.rsplit("@", 1)[:-1]) or package

    def fill():
        os.makedirs(folder, exist_ok=True)
        quietly("npm", "--no-fund", "--no-audit", "--prefix", folder, "install", package, *more)

    once(folder, fill)
    return modules, quietly("node", "-p", f"require({os.path.join(modules, name, 'package.json')!r}).version")


def checkout(cache, repository, tag=None):
    """(Folder of a repository of GitHub, what it is of: the tag, or the date of its last commit)."""
    folder = os.path.join(cache, "git-" + repository.replace("/", "-"))

    def fill():
        wanted = tag and tag()
        shutil.rmtree(folder, ignore_errors=True)
        quietly("git", "clone", "-q", "--depth", "1", *(["--branch", wanted] if wanted else []),
                f"https://github.com/{repository}", folder)
        with open(os.path.join(folder, "version"), "w", encoding="utf-8") as f:
            f.write(wanted or quietly("git", "-C", folder, "log", "-1", "--format=%cs"))

    once(folder, fill)
    with open(os.path.join(folder, "version"), encoding="utf-8") as f:
        return folder, f.read().strip()


def pytest_of(python, tests, folder, environ, report):
    """(Passed, failed, skipped, output unless all is well)."""
    if os.path.exists(report):
        os.remove(report)
    done = subprocess.run([python, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short", f"--junitxml={report}",
                           *tests], cwd=folder, env=environ, check=False, capture_output=True, text=True)
    if not os.path.exists(report):
        raise Failed(done.stdout[-2000:] + done.stderr[-2000:])
    suite = tree.parse(report).getroot().find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    return total - skipped - failed, failed, skipped, done.stdout if failed or done.returncode else ""


def server_class():
    """tests/server/serving.py's Server."""
    spec = importlib.util.spec_from_file_location("serving", os.path.join(HERE, "../server/serving.py"))
    serving = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serving)
    return serving.Server
