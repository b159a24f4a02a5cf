"""instructor: a pydantic model out of calls of tools, JSON and schemas; asked again if it is not valid."""
from typing import Iterable

import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel

from conftest import call


class Bird(BaseModel):
    name: str
    age: int


OWL, SWAN = {"name": "owl", "age": 3}, {"name": "swan", "age": 7}
WHOLE, LESS = '{"name": "owl", "age": 3}', '{"name": "owl"}'
ASK = [{"role": "user", "content": "A bird"}]

# Mode: what the model says, in turn.
SAYS = {
    "TOOLS": [call("Bird", **OWL)],
    "TOOLS_STRICT": [call("Bird", **OWL)],
    "JSON": [LESS, WHOLE],
    "MD_JSON": ["no bird", f"```json\n{WHOLE}\n```"],
    "JSON_SCHEMA": [WHOLE],
    "RESPONSES_TOOLS": [call("Bird", **OWL)],
}


def of(server, mode):
    return instructor.from_openai(OpenAI(base_url=server.url + "/v1", api_key="none"), mode=instructor.Mode[mode])


@pytest.mark.parametrize("mode", SAYS)
def test_a_bird(scripted, mode):
    client = of(scripted(*SAYS[mode]), mode)
    bird = client.chat.completions.create(model="stand-in", response_model=Bird, max_retries=len(SAYS[mode]), messages=ASK)
    assert bird.model_dump() == OWL


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_part_by_part(scripted, mode):
    client = of(scripted({"TOOLS": call("PartialBird", **OWL)}.get(mode, WHOLE)), mode)
    birds = list(client.chat.completions.create_partial(model="stand-in", response_model=Bird, messages=ASK))
    assert birds[-1].model_dump() == OWL and any(b.age is None for b in birds)


def test_several_birds(scripted):
    client = of(scripted(call("Bird", **OWL) + "\n" + call("Bird", **SWAN)), "PARALLEL_TOOLS")
    birds = client.chat.completions.create(model="stand-in", response_model=Iterable[Bird], messages=ASK)
    assert [b.model_dump() for b in birds] == [OWL, SWAN]
