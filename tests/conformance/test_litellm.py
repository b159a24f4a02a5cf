"""LiteLLM: one call for all APIs; here OpenAI's, Anthropic's and Ollama's."""
import json

import litellm
import pytest

from conftest import call

litellm.telemetry = False
USER = [{"role": "user", "content": "Write a poem about the sea"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Of a city", "parameters": WEATHER}}
SURFACES = {"openai": "/v1", "anthropic": "", "ollama_chat": "", "hosted_vllm": "/v1"}


def ask(server, surface, model, messages=USER, **more):
    return litellm.completion(model=f"{surface}/{model}", api_base=server.url + SURFACES[surface], api_key="none",
                              messages=messages, **more)


@pytest.mark.parametrize("surface", SURFACES)
def test_whole_and_streamed_are_the_same(poet, surface):
    whole = ask(poet, surface, "poet", max_tokens=30, temperature=0)
    chunks = list(ask(poet, surface, "poet", max_tokens=30, temperature=0, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == whole.choices[0].message.content and text
    assert whole.usage.completion_tokens == 30 and whole.choices[0].finish_reason == "length"


@pytest.mark.parametrize("surface", SURFACES)
def test_tools(scripted, surface):
    server = scripted(call("weather", city="Rome"), "Sun.")
    first = ask(server, surface, "stand-in", [{"role": "user", "content": "Weather?"}], tools=[TOOL]).choices[0].message
    assert json.loads(first.tool_calls[0].function.arguments) == {"city": "Rome"}
    talk = [{"role": "user", "content": "Weather?"}, first,
            {"role": "tool", "tool_call_id": first.tool_calls[0].id, "name": "weather", "content": "sun"}]
    assert ask(server, surface, "stand-in", talk, tools=[TOOL]).choices[0].message.content == "Sun."


@pytest.mark.parametrize("surface", SURFACES)
def test_tools_streamed(scripted, surface):
    server = scripted("So. " + call("weather", city="Rome"))
    chunks = list(ask(server, surface, "stand-in", tools=[TOOL], stream=True))
    calls = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or []]
    assert json.loads("".join(c.function.arguments or "" for c in calls)) == {"city": "Rome"}


@pytest.mark.parametrize("surface", SURFACES)
def test_schema(scripted, surface):
    server = scripted(call("json_tool_call", city="Rome") if surface == "anthropic" else '{"city": "Rome"}')
    reply = ask(server, surface, "stand-in", response_format={"type": "json_schema", "json_schema": {
        "name": "place", "schema": WEATHER, "strict": True}})
    assert json.loads(reply.choices[0].message.content) == {"city": "Rome"}


def test_responses(poet):
    reply = litellm.responses(model="openai/poet", api_base=poet.url + "/v1", api_key="none", input="A poem", max_output_tokens=20)
    assert reply.output[0].content[0].text and reply.usage.output_tokens == 20


def test_text_completion(poet):
    reply = litellm.text_completion(model="text-completion-openai/poet", api_base=poet.url + "/v1", api_key="none",
                                    prompt="The sea", max_tokens=12)
    assert reply.choices[0].text and reply.usage.completion_tokens == 12


def test_embedding(poet):
    reply = litellm.embedding(model="openai/poet", api_base=poet.url + "/v1", api_key="none", input=["sea", "hill"])
    assert len(reply.data) == 2 and reply.data[0]["embedding"] != reply.data[1]["embedding"]


def test_errors(poet):
    with pytest.raises(litellm.NotFoundError):
        ask(poet, "openai", "gpt-9")
    with pytest.raises(litellm.ContextWindowExceededError):
        ask(poet, "openai", "poet", [{"role": "user", "content": "word " * 3000}])
