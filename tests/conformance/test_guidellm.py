"""guidellm as a load tool: nothing fails, every answer has its length, and is the one that its prompt has alone."""
import json
import os
import subprocess
import sys

import pytest

PROMPTS = [f"Write a poem about {what}" for what in ("the sea", "a hill in the morning", "bread", "the last train home")]
COUNT, TOKENS = 64, 24


@pytest.mark.parametrize("profile", ["synchronous", "concurrent,streams=16", "throughput,max_concurrency=48", "poisson,rate=20"])
def test_load(poet, tmp_path, profile):
    data, report = tmp_path / "prompts.jsonl", tmp_path / "report.json"
    rows = [{"prompt": PROMPTS[i % len(PROMPTS)], "output_tokens_count": TOKENS} for i in range(COUNT)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = os.path.join(os.path.dirname(sys.executable), "guidellm")
    done = subprocess.run([program, "run", "--backend", f"kind=openai_http,target={poet.url}", "--profile", f"kind={profile}",
                           "--data", f"kind=json_file,path={data}", "--output", f"kind=json,path={report}",
                           "--constraint", f"kind=max_requests,count={COUNT}", "--disable-progress"],
                          env=dict(os.environ, HF_HUB_OFFLINE="1"), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    requests = json.loads(report.read_text())["benchmarks"][0]["requests"]
    assert [len(requests[kind]) for kind in ("successful", "errored", "incomplete")] == [COUNT, 0, 0]
    alone = {p: poet.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": p}], "max_completion_tokens": TOKENS,
                                                   "ignore_eos": True})["choices"][0]["message"]["content"] for p in PROMPTS}
    for r in requests["successful"]:
        prompt = json.loads(r["request_args"])["body"]["messages"][0]["content"][0]["text"]
        assert (r["output"], r["output_metrics"]["text_tokens"]) == (alone[prompt], TOKENS)
