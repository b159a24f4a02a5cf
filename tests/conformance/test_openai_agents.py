"""OpenAI's Agents SDK: over Responses and over chat completions."""
import asyncio

import pytest
from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from conftest import call

set_tracing_disabled(True)


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sun in {city}"


@pytest.mark.parametrize("kind", [OpenAIResponsesModel, OpenAIChatCompletionsModel])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_and_an_answer(scripted, kind, streamed):
    server = scripted({"when": "Weather?", "say": call("weather", city="Rome")}, {"when": "sun in Rome", "say": "It shines."})

    async def go():
        client = AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
        agent = Agent(name="a", instructions="Be short.", tools=[weather], model=kind(model="stand-in", openai_client=client))
        if not streamed:
            return (await Runner.run(agent, "Weather?")).final_output
        run = Runner.run_streamed(agent, "Weather?")
        async for _ in run.stream_events():
            pass
        return run.final_output

    assert asyncio.run(go()) == "It shines."
