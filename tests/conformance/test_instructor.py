"""instructor: a pydantic model out of calls of tools, JSON and schemas."""
import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel

from conftest import call


class Bird(BaseModel):
    name: str
    age: int


SAYS = {"TOOLS": call("Bird", name="owl", age=3), "JSON": '{"name": "owl", "age": 3}', "JSON_SCHEMA": '{"name": "owl", "age": 3}'}


@pytest.mark.parametrize("mode", SAYS)
def test_a_bird(scripted, mode):
    server = scripted("no bird" if mode == "JSON" else SAYS[mode], SAYS[mode])
    if mode == "TOOLS":
        server = scripted(SAYS[mode])
    client = instructor.from_openai(OpenAI(base_url=server.url + "/v1", api_key="none"), mode=instructor.Mode[mode])
    bird = client.chat.completions.create(model="stand-in", response_model=Bird, max_retries=2,
                                          messages=[{"role": "user", "content": "A bird"}])
    assert bird == Bird(name="owl", age=3)
