"""Requests that schemathesis makes of docs/openapi.json: never a 5xx, and what is answered has the shape it says."""
import json
import os

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

HERE = os.path.dirname(__file__)


@pytest.fixture(scope="session")
def described(poet):
    with open(os.path.join(HERE, "../../docs/openapi.json"), encoding="utf-8") as f:
        schema = schemathesis.openapi.from_dict(json.load(f))
    schema.config.update(base_url=poet.url)
    return schema


SCHEMA = schemathesis.pytest.from_fixture("described")
CHECKS = [not_a_server_error, checks.response_schema_conformance, checks.status_code_conformance,
          checks.content_type_conformance]


KNOWN = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"}


def shorten(body):
    """An answer to any request is to be short."""
    if isinstance(body, dict):
        for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
            if isinstance(body.get(name), int) and not isinstance(body[name], bool):
                body[name] = min(body[name], 8)


@SCHEMA.parametrize()
@settings(max_examples=int(os.environ.get("EXAMPLES", "40")), deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
def test_what_is_described_holds(case):
    shorten(case.body)
    response = case.call(timeout=60)
    if response.status_code == 501 and case.method not in KNOWN:  # as HTTP has it for a method that a server does not know
        return
    case.validate_response(response, checks=CHECKS)
