"""Ollama's Python client."""
import json

import ollama
import pytest

from conftest import call

USER = [{"role": "user", "content": "Write a poem about the sea"}]
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": False}


def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: Its name
    """
    return f"sun in {city}"


def of(server):
    return ollama.Client(host=server.url)


def test_chat(poet):
    client = of(poet)
    options = {"num_predict": 30, "temperature": 0.4, "seed": 4, "num_ctx": 2048, "repeat_penalty": 1.1, "repeat_last_n": 64,
               "top_k": 30, "top_p": 0.9, "stop": ["zzz"]}
    whole = client.chat("poet", USER, options=options, keep_alive="5m")
    parts = list(client.chat("poet:latest", USER, options=options, stream=True))
    assert "".join(p.message.content for p in parts) == whole.message.content and whole.message.content
    assert parts[-1].done and parts[-1].done_reason == "length" and parts[-1].eval_count == 30


def test_generate(poet):
    client = of(poet)
    whole = client.generate("poet", "Write a poem", system="Rhyme.", options={"num_predict": 20})
    parts = list(client.generate("poet", "Write a poem", system="Rhyme.", options={"num_predict": 20}, stream=True))
    assert "".join(p.response for p in parts) == whole.response and whole.response
    assert client.generate("poet", "The sea", raw=True, options={"num_predict": 5}).response


def test_load(poet):
    client = of(poet)
    assert client.generate("poet", "").done and client.chat("poet", []).done


def test_format(poet):
    client = of(poet)
    reply = client.chat("poet", USER, format=SCHEMA, options={"num_predict": 200})
    assert reply.done_reason == "length" or set(json.loads(reply.message.content)) == {"age"}
    reply = client.generate("poet", "A bird", format="json", options={"num_predict": 300})
    assert reply.done_reason == "length" or isinstance(json.loads(reply.response), dict)


def test_tools(scripted):
    client = of(scripted(call("weather", city="Rome"), "Sun."))
    talk = list(USER)
    first = client.chat("stand-in", talk, tools=[weather])
    made = first.message.tool_calls[0].function
    assert made.name == "weather" and made.arguments == {"city": "Rome"}
    talk += [first.message, {"role": "tool", "tool_name": "weather", "content": weather(**made.arguments)}]
    assert client.chat("stand-in", talk, tools=[weather]).message.content == "Sun."


def test_tools_streamed(scripted):
    parts = list(of(scripted("So. " + call("weather", city="Rome"))).chat("stand-in", USER, tools=[weather], stream=True))
    calls = [c for p in parts for c in p.message.tool_calls or []]
    assert [c.function.arguments for c in calls] == [{"city": "Rome"}] and parts[-1].done


def test_logprobs(poet):
    reply = of(poet).chat("poet", USER, logprobs=True, top_logprobs=2, options={"num_predict": 4})
    assert len(reply.logprobs) == 4 and len(reply.logprobs[0].top_logprobs) == 2


def test_models(poet):
    client = of(poet)
    assert [m.model for m in client.list().models] == ["poet"]
    assert client.ps().models[0].model == "poet"
    shown = client.show("poet")
    assert "completion" in shown.capabilities and shown.modelinfo and shown.details.family


def test_errors(poet):
    with pytest.raises(ollama.ResponseError) as e:
        of(poet).chat("none", USER)
    assert e.value.status_code == 404
