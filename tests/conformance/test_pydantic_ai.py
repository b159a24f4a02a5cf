"""pydantic-ai: agents over chat completions and over Responses, with tools and with typed answers."""
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from conftest import call


class Bird(BaseModel):
    name: str
    age: int


OWL, WHOLE = Bird(name="owl", age=3), '{"name": "owl", "age": 3}'
KINDS = pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])


def agent(kind, server, **more):
    provider = OpenAIProvider(base_url=server.url + "/v1", api_key="none")
    return Agent(kind("stand-in", provider=provider), instructions="Be short.", **more)


def add_weather(to):
    @to.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        if city == "Roma":
            raise ModelRetry("in English, please")
        return f"sun in {city}"


@KINDS
def test_a_tool_and_an_answer(scripted, kind):
    a = agent(kind, scripted(call("weather", city="Roma"), call("weather", city="Rome"),
                             {"when": "sun in Rome", "say": "It shines."}))
    add_weather(a)
    result = a.run_sync("Weather?")
    assert result.output == "It shines." and result.usage.requests == 3


@KINDS
@pytest.mark.parametrize("how, says", [(ToolOutput, call("final_result", name="owl", age=3)), (NativeOutput, WHOLE),
                                       (PromptedOutput, WHOLE)])
def test_a_bird(scripted, kind, how, says):
    assert agent(kind, scripted(says), output_type=how(Bird)).run_sync("A bird").output == OWL


@KINDS
def test_a_bird_of_a_tool(scripted, kind):
    """A schema beside tools: calls may come, and what is no call obeys it."""
    a = agent(kind, scripted(call("weather", city="Rome"), {"when": "sun in Rome", "say": WHOLE}), output_type=NativeOutput(Bird))
    add_weather(a)
    assert a.run_sync("A bird of the weather").output == OWL


@KINDS
def test_streamed(scripted, kind):
    async def go():
        async with agent(kind, scripted("One two three four five")).run_stream("Count") as run:
            parts = [text async for text in run.stream_text(delta=True, debounce_by=None)]
        return parts

    import asyncio
    parts = asyncio.run(go())
    assert len(parts) > 1 and "".join(parts) == "One two three four five"


@KINDS
def test_what_was_said_goes_on(scripted, kind):
    a = agent(kind, scripted("I am an owl.", {"when": "I am an owl.", "say": "Still."}))
    first = a.run_sync("Who?")
    assert a.run_sync("And now?", message_history=first.all_messages()).output == "Still."
