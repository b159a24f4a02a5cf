"""Anthropic's Python client."""
import anthropic
import pytest
from anthropic import Anthropic

from conftest import call

USER = [{"role": "user", "content": "Write a poem about the sea"}]
SAMPLING = {"temperature": 0.5, "top_k": 20, "top_p": 0.9}
TOOL = {"name": "weather", "description": "Of a city", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def of(server):
    return Anthropic(base_url=server.url, api_key="none", max_retries=0)


def test_whole_and_streamed_are_the_same(poet):
    client = of(poet)
    whole = client.messages.create(model="poet", max_tokens=30, messages=USER, system="Rhyme.", stop_sequences=["zzz"],
                                   metadata={"user_id": "a"}, extra_body=SAMPLING)
    with client.messages.stream(model="poet", max_tokens=30, messages=USER, system=[
            {"type": "text", "text": "Rhyme.", "cache_control": {"type": "ephemeral"}}], stop_sequences=["zzz"],
            extra_body=SAMPLING) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text and text
    assert whole.stop_reason == final.stop_reason == "max_tokens" and final.usage.output_tokens == 30


def test_stop_sequence(scripted):
    reply = of(scripted("One two three")).messages.create(model="stand-in", max_tokens=50, messages=USER)
    assert reply.stop_reason == "end_turn" and reply.content[0].text == "One two three"


def test_stop_sequence_is_told(poet):
    client = of(poet)
    whole = client.messages.create(model="poet", max_tokens=40, messages=USER).content[0].text
    word = whole.split()[3]
    reply = client.messages.create(model="poet", max_tokens=40, messages=USER, stop_sequences=[word])
    assert reply.stop_reason == "stop_sequence" and reply.stop_sequence == word
    assert reply.content[0].text.strip() == whole[:whole.index(word)].strip()


def test_tools(scripted):
    client = of(scripted("Let me see.\n" + call("weather", city="Rome"), "Sun."))
    talk = [{"role": "user", "content": "Weather?"}]
    first = client.messages.create(model="stand-in", max_tokens=500, messages=talk, tools=[TOOL], tool_choice={"type": "auto"})
    assert first.stop_reason == "tool_use" and [b.type for b in first.content] == ["text", "tool_use"]
    assert first.content[1].input == {"city": "Rome"}
    talk += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": first.content[1].id, "content": [{"type": "text", "text": "sun"}]}]}]
    assert client.messages.create(model="stand-in", max_tokens=500, messages=talk, tools=[TOOL]).content[0].text == "Sun."


def test_tools_streamed(scripted):
    client = of(scripted("So.\n" + call("weather", city="Rome") + call("weather", city="Oslo")))
    with client.messages.stream(model="stand-in", max_tokens=500, messages=USER, tools=[TOOL]) as stream:
        kinds = {e.type for e in stream}
        final = stream.get_final_message()
    assert {"input_json", "content_block_stop", "message_stop"} <= kinds
    assert [b.input for b in final.content[1:]] == [{"city": "Rome"}, {"city": "Oslo"}]


def test_tool_choice_none(scripted):
    reply = of(scripted(call("weather", city="Rome"))).messages.create(
        model="stand-in", max_tokens=500, messages=USER, tools=[TOOL], tool_choice={"type": "none"})
    assert [b.type for b in reply.content] == ["text"]


def test_tool_choice_must(poet):
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}, {"type": "any", "disable_parallel_tool_use": True}):
        reply = of(poet).messages.create(model="poet", max_tokens=400, messages=USER, tools=[TOOL], tool_choice=choice)
        assert reply.stop_reason in ("tool_use", "max_tokens")
        if reply.stop_reason == "tool_use":
            assert set(reply.content[0].input) == {"city"}


def test_structured(poet):
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": False}
    reply = of(poet).messages.create(model="poet", max_tokens=200, messages=USER,
                                     output_config={"format": {"type": "json_schema", "schema": schema}})
    assert reply.stop_reason == "max_tokens" or "age" in reply.content[0].text


def test_count(poet):
    assert of(poet).messages.count_tokens(model="poet", messages=USER, system="Rhyme.", tools=[TOOL]).input_tokens > 5


def test_models(poet):
    assert [m.id for m in of(poet).models.list()] == ["poet"]


def test_errors(poet):
    client = of(poet)
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="claude", max_tokens=5, messages=USER)
    with pytest.raises(anthropic.BadRequestError) as e:
        client.messages.create(model="poet", max_tokens=5, messages=[{"role": "user", "content": "word " * 3000}])
    assert e.value.body["error"]["type"] == "invalid_request_error"
