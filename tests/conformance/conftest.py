"""Servers for software that nobody here wrote: gyr serve with the poet, and the server with scripted answers.

$GYR and $STAND_IN name the programs, $POET the model.
"""
import json
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../server"))
from serving import Server  # noqa: E402


@pytest.fixture(scope="session")
def poet():
    with Server(os.environ["GYR"], "-m", os.environ["POET"], "--tune-fair") as s:
        s.url = f"http://{s.host}:{s.port}"
        yield s


@pytest.fixture
def scripted(tmp_path):
    """A function that starts a server whose model says what a script has: texts, or entries of it."""
    servers = []

    def start(*entries):
        path = tmp_path / f"script{len(servers)}.json"
        path.write_text(json.dumps([e if isinstance(e, dict) else {"say": e} for e in entries]))
        s = Server(os.environ["STAND_IN"], os.environ["POET"], "--script", str(path), verb=[])
        s.url = f"http://{s.host}:{s.port}"
        servers.append(s)
        return s

    yield start
    for s in servers:
        s.__exit__()


def call(name, /, **arguments):
    """A call of a tool, as the scripted model writes it."""
    return "<tool_call>\n" + json.dumps({"name": name, "arguments": arguments}) + "\n</tool_call>"
