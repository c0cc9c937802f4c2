"""`recipe serve` with a pico model and an adapter at half its weight: a served answer is the evaluation's own."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from openai import BadRequestError, OpenAI

from inference.answering.engines.requests import Engine, Request, requests_of
from inference.answering.questions import Question, unscored
from inference.answering.rules import Mode, Rules
from inference.serving.client import KEY
from recipe.commands.ask import command as ask_command
from spine.mixture import BASE, Mixture
from spine.task_types import TaskType
from tests.serve_env.test_engines import LENGTH, answers, questions

pytestmark = pytest.mark.slow  # vLLM loads for half a minute
SECRET = "a-key-of-a-test"
START_SECONDS, STOP_SECONDS = 500, 120


@dataclass(frozen=True)
class Served:
    """``name``: of the model with its adapter."""

    process: subprocess.Popen[str]
    url: str
    name: str

    def says(self, text: str, **more: Any) -> Any:
        """An answer; with ``stream=True`` its chunks."""
        messages = [{"role": "user", "content": text}]
        with OpenAI(base_url=f"{self.url}/v1", api_key=SECRET, max_retries=0) as client:
            said = client.chat.completions.create(**{"model": self.name, "messages": messages, **more})
            return list(said) if more.get("stream") else said


def start(model: Path, runs: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("recipe")), "serve", "--model", str(model)]
    sizes = ["--dtype", "float32", "--max-length", str(LENGTH)]
    return subprocess.Popen(
        [*command, *sizes, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, KEY: SECRET, "RECIPE_RUNS": str(runs), "ALPHA": "", "MODE": "", **variables},
    )  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(process: subprocess.Popen[str], word: str) -> str:
    """What the process says up to the line with ``word``."""
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if word in line:
            return said
    raise AssertionError(f"ended with {process.wait()}:\n{said}")


def offspring(pid: int) -> list[int]:
    """The processes that ``pid`` has started, and theirs."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [*children, *(further for child in children for further in offspring(child))]


def all_end(pids: list[int]) -> bool:
    """Waits until none of them lives."""

    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except FileNotFoundError:
            return False

    for _ in range(STOP_SECONDS * 10):
        if not any(map(lives, pids)):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def served(model: Path, adapter: Mixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = free_port()
    options = ["--adapter", adapter.parts[0].folder, "--alpha", "0.5", "--port", str(port)]
    with TemporaryDirectory(prefix="served-") as temporary:  # what is killed leaves its files
        yield from _up(start(model, tmp_path_factory.mktemp("runs"), *options, TMPDIR=temporary), port)


def _up(process: subprocess.Popen[str], port: int) -> Iterator[Served]:
    try:
        said = until(process, "ready")
        url = f"http://127.0.0.1:{port}"
        assert f"{url}/v1" in said and "mode exact" in said
        with OpenAI(base_url=f"{url}/v1", api_key=SECRET) as client:
            names = sorted(found.id for found in client.models.list())
        assert len(names) == 2 and "base" in names
        yield Served(process, url, next(name for name in names if name != "base"))
    finally:
        if process.poll() is not None and process.stdout:
            print(f"the server has ended with {process.returncode}:", process.stdout.read()[-20_000:])
        started = offspring(process.pid)
        process.kill()
        process.wait()
        all_end(started)


@pytest.fixture(scope="module")
def engine(model: Path, adapter: Mixture, rules: Rules) -> Engine:
    """transformers: that vLLM offline writes the same is shown in test_engines."""
    from inference.answering.engines.transformers import TransformersEngine

    return TransformersEngine(model, rules.chat, adapter * 0.5, dtype="float32")


def asked_for() -> list[Question]:
    long = "Which one is it?\n" + "many words " * 2_000 + "\n0. a fig\n1. a fork\nAnswer:"
    return [*questions(), unscored(long, True), unscored("Describe <|im_end|> and <|im_start|>.", False)]


def expected(engine: Engine, rules: Rules, mode: Mode) -> list[tuple[Request, str]]:
    requests = requests_of(asked_for(), rules, mode, LENGTH)
    return list(zip(requests, answers(engine, requests), strict=True))


def recipe(item: Question, **more: Any) -> dict[str, Any]:
    return {"recipe": {"is_multiple_choice": item.asked.type is TaskType.MULTIPLE_CHOICE, **more}}


@pytest.mark.parametrize("mode", list(Mode))
def test_served_answers_are_an_evaluations_own_also_several_at_once(
    served: Served, engine: Engine, rules: Rules, mode: Mode
) -> None:
    items, found = asked_for(), expected(engine, rules, mode)

    def one(item: Question) -> Any:
        return served.says(item.prompt, extra_body=recipe(item, mode=mode.value))

    with ThreadPoolExecutor(len(items)) as clients:
        said = list(clients.map(one, items))
    assert [answer.choices[0].message.content for answer in said] == [text for _, text in found]
    assert [answer.usage.prompt_tokens for answer in said] == [len(request.tokens) for request, _ in found]
    assert [answer.recipe["task_type"] for answer in said] == [item.asked.type for item in items]
    assert [answer.recipe["dropped_tokens"] for answer in said] == [request.dropped for request, _ in found]


def test_a_stream_says_the_same(served: Served, engine: Engine, rules: Rules) -> None:
    for item, (_, text) in zip(asked_for(), expected(engine, rules, Mode.WINNERS), strict=True):
        chunks = served.says(item.prompt, stream=True, extra_body=recipe(item, mode="winners"))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
        assert all(chunk.recipe["task_type"] == item.asked.type for chunk in chunks)


def test_the_base_is_served_beside_its_adapter(served: Served, adapter: Mixture, rules: Rules, engine: Engine) -> None:
    engine.mix(BASE)  # type: ignore[attr-defined]
    try:
        found = expected(engine, rules, Mode.FREE)
    finally:
        engine.mix(adapter * 0.5)  # type: ignore[attr-defined]
    texts = [
        served.says(item.prompt, model="base", extra_body=recipe(item, mode="free")).choices[0].message.content
        for item in asked_for()
    ]
    assert texts == [text for _, text in found] != [text for _, text in expected(engine, rules, Mode.FREE)]


def test_probabilities_are_the_models_own(served: Served, engine: Engine, rules: Rules) -> None:
    import torch

    item = asked_for()[0]
    answer = served.says(item.prompt, extra_body=recipe(item, probabilities=True))
    (request,) = requests_of([item], rules, Mode.EXACT, LENGTH)
    with torch.inference_mode():
        logits = engine.model(torch.tensor([request.tokens])).logits[0, -1]  # type: ignore[attr-defined]
    shares = logits.softmax(0)[list(rules.options(item.asked).values())]
    told = list(answer.recipe["probabilities"].values())
    assert told == pytest.approx((shares / shares.sum()).tolist(), rel=1e-3)
    assert answer.recipe["outside"] == pytest.approx(1 - shares.sum().item(), abs=1e-3)
    assert math.fsum(told) == pytest.approx(1) and list(answer.recipe["probabilities"]) == ["0", "1", "2", "3"]
    assert answer.choices[0].logprobs is None


def test_other_requests_are_answered_as_by_any_server(served: Served) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?\n0. a\n1. b"}]
    answer = served.says("", messages=messages, max_tokens=5, temperature=0, logprobs=True, top_logprobs=2)
    assert answer.usage.completion_tokens == 5 and "recipe" not in answer.model_extra
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2
    with pytest.raises(BadRequestError, match="did you mean 'mode'"):
        served.says("Which?", extra_body={"recipe": {"mod": "free"}})


def test_health_and_key(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert httpx.get(f"{served.url}/health", trust_env=False).status_code == 200
    text = asked_for()[0].prompt
    monkeypatch.setenv(KEY, SECRET)
    shown = CliRunner().invoke(ask_command, [text, "--url", served.url], catch_exceptions=False)
    assert shown.stdout.strip() in "0123" and "multiple-choice, mode exact" in shown.stderr
    monkeypatch.setenv(KEY, "another")
    refused = CliRunner().invoke(ask_command, [text, "--url", served.url])
    assert "wants a key" in str(refused.exception)


def test_it_ends_with_its_parent(served: Served) -> None:
    started = offspring(served.process.pid)
    assert len(started) >= 2  # vLLM's server and its engine
    served.process.kill()  # without a chance to say so
    served.process.wait()
    assert all_end(started)


def test_ctrl_c_ends_it_while_it_loads(model: Path, tmp_path: Path) -> None:
    process = start(model, tmp_path, "--port", str(free_port()))
    until(process, "loading")
    while not (started := offspring(process.pid)):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_SECONDS) == 130 and all_end(started)


def test_a_server_that_cannot_start_says_why(model: Path, tmp_path: Path) -> None:
    process = start(model, tmp_path, "--port", str(free_port()), "--dtype", "float33")
    said = process.communicate(timeout=START_SECONDS)[0]
    assert process.returncode == 1 and "float33" in said and "Traceback" not in said
    assert f"{tmp_path}/serve-" in said
