"""A local Ray with two workers: the answers are those of one engine here, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from inference import evaluate
from inference.answering.answer import Answerer, Setup, in_a_worker, make_engine
from inference.answering.engines.cluster import ADDRESS, cluster
from inference.answering.engines.ray import RayEngine
from inference.answering.engines.requests import Engine, Request, requests_of
from inference.answering.rules import Mode, Rules
from inference.evaluate import Evaluation
from inference.serving.ray import Response, Workers
from spine import manifest
from spine.errors import RecipeError
from spine.mixture import Mixture
from tests.serve_env.test_engines import LENGTH, answers, questions
from tests.serve_env.test_evaluation import ROWS
from tests.serve_env.test_server import offspring

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]  # Ray starts for 5 s, a worker loads for 15
WORKER = "ray::MapWorker"


def named(name: str) -> list[int]:
    """Our workers."""
    return [pid for pid in offspring(os.getpid()) if Path(f"/proc/{pid}/cmdline").read_text().startswith(name)]


def asked(rules: Rules, times: int) -> list[Request]:
    return requests_of(questions() * times, rules, Mode.EXACT, LENGTH)


def test_the_answers_are_those_of_one_engine_though_a_worker_is_killed(
    model: Path, adapter: Mixture, rules: Rules
) -> None:
    setup = Setup(model=str(model), mixture=adapter * 0.5, max_length=LENGTH, dtype="float32", workers=2)
    here = make_engine(replace(setup, workers=None), rules.chat)
    requests = asked(rules, 20)
    found: dict[int, str] = {}
    for index, text in make_engine(setup, rules.chat).generate(requests):
        if not found:
            os.kill(named(WORKER)[0], signal.SIGKILL)
        assert index not in found
        found[index] = text
    assert [found[request.index] for request in requests] == answers(here, requests)


def test_an_evaluation_with_vllm_on_ray_goes_on_where_it_was_stopped(tmp_path: Path, model: Path) -> None:
    """The same lines as an evaluation here; in float32 both engines write the same (test_engines)."""
    (tmp_path / "q.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    here = Evaluation(
        label="pico", folder=str(tmp_path / "here"), model=str(model), questions=str(tmp_path / "q.json"),
        inputs={"answers": "one", "scoring": "v1"}, max_length=LENGTH, dtype="float32",
    )  # fmt: skip
    there = replace(here, folder=str(tmp_path / "there"), engine="vllm", workers=2)
    evaluate.run([here])
    lines = (tmp_path / "here" / "predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "started.json").write_text((tmp_path / "here" / "started.json").read_text())
    (tmp_path / "there" / "predictions.jsonl").write_text(lines[0] + lines[1][:9])  # as a kill leaves it
    evaluate.run([there])
    written = manifest.read(tmp_path / "there")
    assert written and written["asked"] == len(ROWS) - 1 and there.step.is_done()
    assert (tmp_path / "there" / "predictions.jsonl").read_text().splitlines(keepends=True) == lines


def test_a_ray_of_our_own_answers_by_the_documented_command(tmp_path: Path, model: Path) -> None:
    """docs/cluster.md: ``make eval-v8 ENGINE=ray``, of a folder instead of a run."""
    (tmp_path / "q.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    recipe = str(Path(sys.executable).with_name("recipe"))
    words = ["eval", "--model", str(model), "--questions", str(tmp_path / "q.json"), "--engine", "ray"]
    subprocess.run([recipe, *words, "--dtype", "float32", "--max-length", "512"], check=True, timeout=550)
    (folder,) = (tmp_path / "eval").iterdir()
    found = [json.loads(line) for line in (folder / "predictions.jsonl").open()]
    assert len(found) == len(ROWS) and {one["answer"].strip() for one in found[:4]} <= {"0", "1", "2"}
    assert (tmp_path / "ray.log").exists()


class Deadly:
    """An engine that one question kills, or that another one breaks."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        for request in requests:
            if request.prompt == "":
                yield request.index, "fine"
            if request.index == KILLS and os.environ.get("DEADLY"):
                os._exit(1)
            if request.index == BREAKS:
                raise MemoryError("no room for this question")


KILLS, BREAKS = 150, 170


def deadly(gpus: int, alpha: float) -> Engine:
    return Deadly()


def test_a_question_that_kills_every_worker_ends_the_run_and_so_does_an_exception(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = asked(rules, 20)
    kept = 0
    with pytest.raises(RecipeError, match=r"a worker on .*: MemoryError\('no room for this question'\)"):
        for _ in RayEngine(deadly, 2, 0, 1.0).generate(requests):
            kept += 1
    monkeypatch.setenv("DEADLY", "1")
    with pytest.raises(RecipeError, match="a worker of Ray died, and again when tried 3 times more"):
        for _ in RayEngine(deadly, 2, 0, 1.0).generate(requests):
            kept += 1
    assert kept > len(requests)  # all shares but that one, twice


class Fragile:
    """An actor in the place of a server, which one request kills."""

    async def load(self) -> str:
        return ""

    async def ask(self, method: str, path: str, body: bytes) -> Response:
        if body == b"deadly":
            os._exit(1)
        return Response(200, {}, body)


def test_a_request_that_kills_its_workers_is_refused_and_the_others_are_answered() -> None:
    async def asked(restarts: int) -> None:
        import ray

        options = {"num_cpus": 1, "max_restarts": restarts, "max_concurrency": 64}
        workers = Workers([ray.remote(Fragile).options(**options).remote() for _ in range(2)])
        await workers.start()
        for _ in range(2):
            bodies = [str(number).encode() for number in range(40)]
            found = await asyncio.gather(*(workers.ask("POST", "/", body) for body in bodies))
            assert [one.content for one in found] == bodies
            assert (await workers.ask("POST", "/", b"deadly")).status == 400

    with cluster(2, 0):
        asyncio.run(asked(restarts=10))
        with pytest.raises(RecipeError, match="all workers of Ray died"):
            asyncio.run(asked(restarts=0))


def test_what_a_worker_does_not_find_is_told_with_its_node(model: Path, rules: Rules, tmp_path: Path) -> None:
    away = Setup(model=str(tmp_path / "away"), max_length=LENGTH)
    engine = RayEngine(partial(in_a_worker, away), 2, 0, 1.0)
    with pytest.raises(RecipeError, match=r"a worker on [\d.]+: .*away: no such model folder[\s\S]*docs/cluster\.md"):
        list(engine.generate(asked(rules, 1)))
    with pytest.raises(RecipeError, match="no such model folder"):
        Answerer(away)  # as here


def test_a_cluster_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for address, why in [("127.0.0.1:9", "refused"), ("auto", "any running Ray"), ("ray://head:10001", "no HOST:PORT")]:
        monkeypatch.setenv(ADDRESS, address)
        with (
            pytest.raises(RecipeError, match=f"RAY_ADDRESS={address}: there is no Ray cluster: .*{why}"),
            cluster(2, 0),
        ):
            pass
    monkeypatch.delenv(ADDRESS)
    with pytest.raises(RecipeError, match="no node of Ray has 64 GPUs"), cluster(1, 64):
        pass
