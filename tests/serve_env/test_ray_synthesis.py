"""A synthesis on a local Ray with two workers, one of which is killed, beside one through a server that listens."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
import pytest

from dataset_builders.llm_rows import path_of
from dataset_builders.synthesis.budget import Budget
from dataset_builders.synthesis.declare import load_synthesis
from dataset_builders.synthesis.export import export
from dataset_builders.synthesis.request import Settings, template_digest
from dataset_builders.synthesis.seeds import SeedFile, write_seeds
from dataset_builders.synthesis.store import Store
from dataset_builders.synthesis.work import Work
from inference.serving.ray import ServedOnRay
from recipe.commands.options import resolve_run
from recipe.steps.synth import Asked, endpoint_on_ray, plan_of
from spine.errors import RecipeError
from tests.dataset_builders.synthesis.conftest import DATASET, reviews
from tests.serve_env.test_ray import named
from tests.serve_env.test_server import SECRET, all_end, free_port, offspring, start, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]  # vLLM loads three times
# Right about one review in five. Each piece follows one that stands in it once, but for the blank in front of a value
# and of a key, where the form tells which.
ANSWER = '{"aspect":"air", "keyphrase": "smells of paint"}'
SETTINGS, WANTED, SEEDS = Settings(0.0), 6, 40


@pytest.fixture(scope="module")
def parrot(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that always says the same, by far: no rounding and no neighbour in a batch changes that.

    Attention and MLPs add nothing, so that the next token follows from the last one alone.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("parrot")
    tokenizer = AutoTokenizer.from_pretrained(model)
    made = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, tie_word_embeddings=False)
    embeddings, head = made.get_input_embeddings().weight, made.get_output_embeddings().weight
    ids = tokenizer.encode(f"\n{ANSWER}{tokenizer.eos_token}", add_special_tokens=False)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                weight.zero_()
        embeddings.normal_()
        for number, (token, following) in enumerate(pairwise(ids)):
            head[following] += embeddings[token] * (1 + number / len(ids))  # of two, the later one
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def works(store: Store, model: str, folder: Path) -> list[Work]:
    write_seeds(folder / "seeds.parquet", reviews(SEEDS))
    synthesis = load_synthesis(DATASET)
    head = store.head(DATASET, template_digest(synthesis), model, SETTINGS.text(synthesis))
    return [Work.of(synthesis, head, SeedFile(folder / "seeds.parquet"), WANTED, store)]


def made_by(asked: Asked, folder: Path) -> tuple[set[tuple[object, ...]], set[str]]:
    """The answers as they are stored, and the rows of the exported file."""
    folder.mkdir()
    with Store(folder / "store.sqlite") as store:
        asked.synthesize(works(store, asked.model, folder), store, Budget(None), None)
        export(store, load_synthesis(DATASET), folder)
    with closing(sqlite3.connect(folder / "store.sqlite")) as stored:
        rows = set(stored.execute("SELECT seed, state, reason, first, second, asked, answered FROM answers"))
    made = pq.read_table(path_of(folder, DATASET)).drop_columns(["model"]).to_pylist()
    return rows, set(map(repr, made))


def kill_one_when_answers_come(path: Path, killed: list[int]) -> None:
    """A worker of ours, with what it is at."""
    for _ in range(6_000):
        time.sleep(0.05)
        if path.exists():
            with closing(sqlite3.connect(path)) as stored:
                try:
                    count = stored.execute("SELECT count(*) FROM answers").fetchone()[0]
                except sqlite3.OperationalError:  # it is being made
                    continue
            if 0 < count < SEEDS // 4:
                killed.append(named("ray::Served")[0])
                os.kill(killed[0], signal.SIGKILL)
                return


def test_the_rows_are_those_that_an_endpoint_gives_though_a_worker_is_killed(
    parrot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(resolve_run("v8", "cpu", ""), str(parrot), 2, None, Settings())
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_when_answers_come, args=(tmp_path / "ray" / "store.sqlite", killed))
    killer.start()
    found = made_by(Asked("", plan.name, SETTINGS, 1, 120.0, plan), tmp_path / "ray")
    killer.join()
    assert killed and all_end(offspring(os.getpid()))

    port = free_port()
    monkeypatch.setenv("SYNTH_API_KEY", SECRET)
    with TemporaryDirectory(prefix="served-") as temporary:
        process = start(parrot, tmp_path / "runs", "--port", str(port), TMPDIR=temporary)
        try:
            until(process, "ready")
            url = f"http://127.0.0.1:{port}/v1"
            expected = made_by(Asked(url, parrot.name, SETTINGS, 8, 120.0), tmp_path / "endpoint")
        finally:
            started = offspring(process.pid)
            process.terminate()
            process.wait()
            all_end(started)
    assert found == expected
    states = sorted(row[1] for row in found[0])
    assert states.count(1) == WANTED == len(found[1]) and states.count(3) >= 4 * (WANTED - 1)
    assert {row[3] for row in found[0]} == {ANSWER}


def test_a_model_that_does_not_load_is_told_by_its_worker(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan = ServedOnRay(name="pico", model=str(model), max_length=1_000_000, workers=1, gpus=0)
    with pytest.raises(RecipeError, match=r"a worker on (?s:.)*max_model_len \(1000000\)"), endpoint_on_ray(plan):
        pass
    assert "Traceback" not in capfd.readouterr().err
