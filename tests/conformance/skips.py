"""A pytest plugin: skips what the file $SKIPS has. Its lines are an expression for the test's name, two blanks, the reason.
A line that no test is of is an error."""
import os
import re

import pytest


def pytest_collection_modifyitems(items):
    with open(os.environ["SKIPS"], encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("  ") for line in f if line.strip() and line[0] != "#"]
    used = set()
    for item in items:
        for pattern, reason in rows:
            if re.search(pattern, item.nodeid):
                item.add_marker(pytest.mark.skip(reason=reason))
                used.add(pattern)
                break
    if unused := [pattern for pattern, _ in rows if pattern not in used]:
        raise pytest.UsageError(f"{os.environ['SKIPS']}: no test is {unused}")
