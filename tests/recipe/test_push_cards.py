"""The cards: word for word as the golden files, and front matter that the hub's own library reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from huggingface_hub import DatasetCard, ModelCard

from dataset_builders.published.sources import SOURCES, Licence
from inference import evaluate
from inference.scoring.tables import read_scores
from recipe.commands.push import command
from recipe.hub import terms
from recipe.hub.terms import base_of
from spine import runs
from spine.manifest import Step
from spine.runs import Run
from spine.stamp import stamp
from tests.recipe.finished_run import ALPHA, SETTINGS, FinishedRun, base_model, dataset, finish

GOLDEN = Path(__file__).parent.parent / "golden" / "cards"
MERGED, AWQ = f"merged-{ALPHA}", f"awq-{ALPHA}"
CARDS = {"adapter": ModelCard, MERGED: ModelCard, AWQ: ModelCard, "data": DatasetCard}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    """Everything, of published rows; read only."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "RUNS", folder / "runs")
        (folder / "raw").mkdir()
        yield FinishedRun(Run("cpu", "v8"), folder / "raw", base_model(folder, patch)).everything()


def card(what: str, *words: str) -> str:
    done = CliRunner().invoke(
        command,
        ["v8", "-p", "cpu", "--what", what, "--to", "somebody/shopping", "--card", *words],
        catch_exceptions=False,
    )
    return done.stdout


@pytest.mark.parametrize("what", CARDS)
def test_cards_are_as_the_golden_files(what: str, run: FinishedRun) -> None:
    golden, text = GOLDEN / f"{what}.md", card(what)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text(), "if that is as it should be: UPDATE_GOLDEN=1 make test-fast"


@pytest.mark.parametrize("what", CARDS)
def test_the_hubs_library_reads_them_and_writes_the_same(what: str, run: FinishedRun) -> None:
    text = card(what)
    read = CARDS[what](text)
    assert read.data.to_dict() == CARDS[what](str(read)).data.to_dict()
    assert "\n\n\n" not in read.text and not [line for line in text.splitlines() if line != line.rstrip()]
    assert read.data.get("license") == "other" and read.data.get("license_name") == "mixed-sources"
    assert read.data.get("license_link").startswith("https://huggingface.co/") and "\n## Licences\n" in read.text


def test_what_a_model_card_tells_machines(run: FinishedRun) -> None:
    found = {what: ModelCard(card(what)).data.to_dict() for what in (MERGED, AWQ, "adapter")}
    assert {what: one["base_model_relation"] for what, one in found.items()} == {
        MERGED: "merge", AWQ: "merge", "adapter": "adapter"
    }  # fmt: skip
    assert {one["base_model"] for one in found.values()} == {"HuggingFaceTB/SmolLM2-135M-Instruct"}
    assert [found[what]["library_name"] for what in (MERGED, "adapter")] == ["transformers", "peft"]
    assert found["adapter"]["datasets"] == ["NingLab/ECInstruct"] and found[MERGED]["language"][:2] == ["de", "en"]
    told = evaluation(run, f"adapter-{ALPHA}")
    values = {
        result["task"]["name"].rpartition(" ")[2]: result["metrics"][0]["value"]
        for result in found[MERGED]["model-index"][0]["results"]
    }
    assert values == {
        **{track: round(part["score"], 4) for track, part in told["tracks"].items()},
        "overall": round(told["overall"]["score"], 4),
    }


def evaluation(run: FinishedRun, name: str) -> dict[str, Any]:
    return read_scores(run.run.folder / "eval" / name / evaluate.SCORES)


def test_what_a_dataset_card_tells_machines(run: FinishedRun) -> None:
    found = DatasetCard(card("data")).data.to_dict()
    assert found["configs"][0]["data_files"] == [
        {"split": "train", "path": "train.parquet"}, {"split": "validation", "path": "val.parquet"}
    ]  # fmt: skip
    assert found["size_categories"] == "n<1K"
    assert found["task_categories"] == ["multiple-choice", "text-ranking", "text-generation"]


def test_every_score_stands_beside_the_base_and_the_constant_answer(run: FinishedRun) -> None:
    lines = {line.split("|")[1].strip(): line for line in card(AWQ).splitlines() if line.startswith("| ")}
    for name, of in {"**this model**": AWQ, "before quantising": f"adapter-{ALPHA}",
                     "SmolLM2-135M-Instruct (base)": "base"}.items():  # fmt: skip
        assert f" {evaluation(run, of)['overall']['score']:.3f} [" in lines[name]
    assert f" {evaluation(run, 'base')['overall']['constant']:.3f} |" in lines["the constant answer"]
    assert "better |" in lines["**this model**"]


def test_scores_of_other_files_are_nobodys(run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    other = FinishedRun(Run("cpu", "v8"), run.raw, base_model(tmp_path, monkeypatch)).everything()
    assert "**this model**" in card(AWQ)
    (other.run.folder / AWQ / "model.safetensors").write_bytes(b"quantised again")
    inputs = {"model": stamp(other.run.mixed("merged", ALPHA)), "format": "awq", "group": 64}
    outputs = ["model.safetensors", "config.json", "quality.json"]
    finish(Step(other.run.folder / AWQ, "awq", inputs), outputs, backend="gptqmodel", version="", calibration="")
    text = card(AWQ)
    assert "nobody has asked it anything yet" in text and "model-index" not in text and "model_name" not in text


def test_an_invented_shop_is_told_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "products.csv").write_text("invented")
    finish(Step(tmp_path / "raw", "sample-data", {}), ["products.csv"])
    FinishedRun(Run("cpu", "v8"), tmp_path / "raw", base_model(tmp_path, monkeypatch)).everything()
    for what in CARDS:
        text = card(what)
        assert "invented" in text.partition("\n| ")[0] and "CC BY" not in text and "NingLab" not in text
    assert "license: apache-2.0" in card(MERGED) and "license: unknown" in card("data")
    assert "license: mit" in card("data", "--licence", "mit")


def test_rows_that_an_llm_made_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    made = {**dataset("esci", 40), "made": [{"template": "t", "model": "some/llm", "rows": 30, "seed_rows": 9}]}
    FinishedRun(Run("cpu", "v8"), tmp_path, base_model(tmp_path, monkeypatch), {"next_query": made}).data()
    text = card("data")
    assert "30 rows of `next_query` were made by `some/llm`" in text and "10 rows by rules and 30 by an LLM" in text
    assert "license: apache-2.0" in text  # its only source's


@pytest.mark.parametrize(
    ("settings", "told", "hub", "licence"),
    [
        (SETTINGS["base_model"], None, "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
        ("Qwen/Qwen2-72B-Instruct", None, "Qwen/Qwen2-72B-Instruct", "other"),
        ("Qwen/Qwen2-7B-Instruct", None, "Qwen/Qwen2-7B-Instruct", "apache-2.0"),
        ("/models/ours/", None, None, None),
        ("/models/ours", "Qwen/Qwen2-7B", "Qwen/Qwen2-7B", "apache-2.0"),
        ("someone/model", None, "someone/model", None),
    ],
)
def test_the_base_has_a_name_and_a_licence_on_the_hub(
    settings: str, told: str | None, hub: str | None, licence: str | None
) -> None:
    found = base_of(settings, told)
    assert (found.hub, found.licence and found.licence.hub) == (hub, licence)


def test_every_source_says_what_it_allows() -> None:
    closed = {name for name, one in SOURCES.items() if not one.licence.passing_on}
    assert closed == {"amazon_m2", "amazon_reviews"}
    assert {name for name, one in SOURCES.items() if one.licence.commercial} == {"ecinstruct", "esci", "mmlu"}
    assert SOURCES["ecinstruct"].licence.asks == "name its authors" and SOURCES["mmlu"].licence.asks == ""
    assert (
        Licence("CC BY-NC-SA 4.0", "").asks == "name its authors, not for commercial use, under the same licence only"
    )


def test_terms_of_a_model_are_its_bases_unless_a_source_asks_for_more() -> None:
    def found(*names: str) -> list[terms.Ingredient]:
        return terms.ingredients([({"datasets": {name: dataset(name, 5) for name in names}}, False)])

    apache, tongyi = Licence("Apache-2.0", ""), Licence("tongyi-qianwen", "https://its.page")
    assert terms.of_model(found("esci", "mmlu"), apache, "a/b") == terms.Terms("apache-2.0")
    assert terms.of_model(found("esci"), tongyi, "a/b") == terms.Terms("other", "tongyi-qianwen", "https://its.page")
    assert terms.of_model(found("alpaca"), apache, "a/b").name == "mixed-sources"
    assert terms.of_model(found("esci"), None, "a/b").licence is None
    assert terms.of_data(found("esci", "mmlu"), "a/b").name == "mixed-sources"
    assert terms.of_data(found("alpaca"), "a/b") == terms.Terms("cc-by-nc-4.0")
