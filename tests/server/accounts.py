"""What tests of keys and of what belongs to them share."""
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../house"))
from house import run as run_cases  # noqa: E402

KNOWN_SECONDS = 10  # a key that was made or removed beside the server is noticed within about one


@dataclass
class Reply:
    status: int
    headers: object
    content: bytes

    @property
    def json(self):
        return json.loads(self.content)

    def __str__(self):
        return f"{self.status} {self.content[:300]!r}"


def send(server, method, path, who, body=None, more=None):
    return Reply(*server.send(method, path, body, {**who, **(more or {})}))


def key_of(gyr, server, name, *options):
    """The header of a key that is made, once the server knows it."""
    made = subprocess.run([gyr, "key", "add", name, *options], env=server.environ, capture_output=True, text=True, check=True)
    who = {"Authorization": "Bearer " + made.stdout.split()[-1]}
    end = time.monotonic() + KNOWN_SECONDS
    while send(server, "GET", "/v1/key", who).json["name"] != name:
        if time.monotonic() > end:
            raise AssertionError(f"{name} is not known")
        time.sleep(0.05)
    return who


__all__ = ["KNOWN_SECONDS", "Reply", "key_of", "run_cases", "send"]
