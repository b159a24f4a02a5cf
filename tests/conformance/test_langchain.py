"""LangChain's standard integration tests, with its OpenAI client."""
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from conftest import call

JOKE = '{"setup": "Why?", "punchline": "Why not."}'

# What a test expects of a model, by what it asks. Each entry serves as often as it is wanted.
SCRIPT = [
    (["joke about cats", "<|tools|>"], call("Joke", setup="Why?", punchline="Why not.")),
    ("joke about cats", JOKE),
    ("magic_function_no_args", call("magic_function_no_args")),
    ("magic_function", call("magic_function", input=3)),
    ("greeting_generator", call("greeting_generator", answer_style="pirate")),
    ("What is 3 + 4", call("my_adder_tool", a=3, b=4)),
    ("unicode_customer", call("unicode_customer", customer_name="你好啊集团こんにちは株式会社", description="a company")),
    ("It's sunny.", "It is sunny in San Francisco."),
    ("What is the weather", call("get_weather", location="San Francisco, CA")),
    ("", "Hello! How are you?"),
]


class TestGyr(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _server(self, scripted):
        TestGyr.url = scripted(*({"when": when, "say": say, "times": 99} for when, say in SCRIPT)).url

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {"model": "stand-in", "base_url": self.url + "/v1", "api_key": "none", "max_retries": 0, "stream_usage": True}

    @property
    def supports_json_mode(self):
        return True

    @property
    def model_override_value(self):
        return "stand-in"
