"""LangChain's standard integration tests, with its OpenAI client."""
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from conftest import call

# What a test expects a model to call, by what it asks.
SCRIPT = [
    {"when": "magic_function", "say": call("magic_function", input=3), "times": 99},
    {"when": "Tell me a joke", "say": call("Joke", setup="a", punchline="b"), "times": 99},
    {"say": "Hello! How are you?", "times": 9999},
]


class TestGyr(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _server(self, scripted):
        TestGyr.url = scripted(*SCRIPT).url

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {"model": "stand-in", "base_url": self.url + "/v1", "api_key": "none", "max_retries": 0}

    @property
    def has_structured_output(self):
        return False

    @property
    def supports_image_inputs(self):
        return False
