"""Agents from npm, each with a small task in a folder and a model whose answers are scripted."""
import json
import os
import subprocess

import pytest

from conftest import call

TASK = "Correct the word that is wrong in greet.py, and run it"
TOOLS = "<|tools|>"  # in a prompt that has some: a title for the conversation is asked for without
BIN = os.environ.get("NODE_BIN", "")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/greet.py").write_text('print("helo")\n')
    return tmp_path / "work"


def agent(folder, *command, **environ):
    """What an agent prints; it has a home of its own."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    names = {"XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state"}
    own = {name: str(home / sub) for name, sub in names.items()}
    done = subprocess.run([os.path.join(BIN, command[0]), *command[1:]], cwd=folder, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, HOME=str(home), PWD=str(folder), **own, **environ), capture_output=True, text=True,
                          timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_codex(scripted, folder):
    """The Responses API: two turns with calls of tools, one of them with two calls, in order."""
    server = scripted(
        {"when": TASK, "say": "I look first.\n" + call("exec_command", cmd="cat greet.py")},
        {"when": 'print("helo")', "say": call("exec_command", cmd="sed -i s/helo/hello/ greet.py; echo changed") + "\n" +
            call("exec_command", cmd="sleep 1; python3 greet.py > said; cat said")},
        {"when": "changed", "say": "It greets rightly now."})
    config = folder.parent / "codex"
    config.mkdir()
    (config / "config.toml").write_text(f'''model = "stand-in"
model_provider = "gyr"
[model_providers.gyr]
name = "gyr"
base_url = "{server.url}/v1"
wire_api = "responses"
env_key = "GYR_KEY"
''')
    out = agent(folder, "codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", TASK,
                CODEX_HOME=str(config), GYR_KEY="none")
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    items = [e["item"] for e in events if e["type"] == "item.completed"]
    assert [i["text"] for i in items if i["type"] == "agent_message"] == ["I look first.", "It greets rightly now."]
    assert [i["exit_code"] for i in items if i["type"] == "command_execution"] == [0, 0, 0]
    assert events[-1]["type"] == "turn.completed"
    assert (folder / "greet.py").read_text() == 'print("hello")\n'


def test_opencode(scripted, folder):
    """Chat completions, streamed."""
    server = scripted(
        {"when": [TASK, TOOLS], "say": "I look first.\n" + call("read", filePath=str(folder / "greet.py"))},
        {"when": ["helo", TOOLS], "say": call("edit", filePath=str(folder / "greet.py"), oldString="helo", newString="hello")},
        {"when": TOOLS, "say": call("bash", command="python3 greet.py > said; cat said", description="Runs it")},
        {"say": "It greets rightly now.", "times": 3})
    (folder / "opencode.json").write_text(json.dumps({
        "autoupdate": False, "share": "disabled", "model": "gyr/stand-in",
        "provider": {"gyr": {"npm": "@ai-sdk/openai-compatible", "name": "gyr",
                             "options": {"baseURL": server.url + "/v1", "apiKey": "none"},
                             "models": {"stand-in": {"name": "stand-in", "limit": {"context": 100000, "output": 4000}}}}}}))
    out = agent(folder, "opencode", "run", TASK, OPENCODE_DISABLE_MODELS_FETCH="1",
                OPENCODE_DISABLE_LSP_DOWNLOAD="1")
    assert "It greets rightly now." in out
    assert (folder / "greet.py").read_text() == 'print("hello")\n' and (folder / "said").read_text() == "hello\n"
