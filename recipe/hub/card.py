"""The card: front matter by the hub's own library, words by the templates beside this file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl_configs.render import Resolved
from dataset_builders.published.sources import HUB, in_words
from dataset_builders.sources import amazon_m2
from dataset_builders.task import load_task, task_names
from inference.scoring.tables import OVERALL, cell, number
from postprocess.awq import gate
from recipe.hub import terms, upload
from recipe.hub.lineage import Lineage, trace
from recipe.hub.parcel import Kind, Parcel
from recipe.hub.scores import Table, tables
from recipe.hub.terms import Base, Terms, base_of
from recipe.report.results import Reader
from recipe.report.scores import interval
from recipe.steps.merge import default_alphas
from spine.prompts import render, system_prompt
from spine.task_types import TaskType

_HERE = Path(__file__).parent
_LANGUAGES = {"UK": "en", "DE": "de", "JP": "ja", "FR": "fr", "IT": "it", "ES": "es"}  # of Amazon's sites
_MANY_LANGUAGES = 4  # the track that asks in all of them
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_TASKS = {
    TaskType.MULTIPLE_CHOICE: "multiple-choice", TaskType.RETRIEVAL: "text-retrieval", TaskType.RANKING: "text-ranking",
    TaskType.NER: "token-classification", TaskType.GENERATION: "text-generation",
}  # fmt: skip
_TAGS = ["shopping", "e-commerce", "kdd-cup-2024", "shopbench"]
# The settings that a reader of a card asks for first; the file axolotl.yaml has all of them.
_SETTINGS = (
    "lora_r", "lora_alpha", "learning_rate", "lr_scheduler", "num_epochs", "sequence_len", "micro_batch_size",
    "gradient_accumulation_steps", "optimizer",
)  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """What the user says about the repository.

    Attributes:
        repo: USER/NAME.
        licence: for the front matter, instead of what the sources come to.
        base_model: what the base is called on the hub.
    """

    repo: str
    private: bool = True
    licence: str | None = None
    base_model: str | None = None


@dataclass(frozen=True)
class Facts:
    """All that a card says. ``base`` is None for a data set; ``linked``: what was pushed before, by its name."""

    parcel: Parcel
    wish: Wish
    lineage: Lineage
    base: Base | None
    terms: Terms
    tables: Sequence[Table]
    linked: Mapping[str, str]
    notes: Sequence[str]

    @property
    def blend(self) -> str:
        return self.lineage.rounds[0].resolved.blend.name

    @property
    def invented(self) -> bool:
        """Whether all rows are the sample shop's."""
        return not self.lineage.ingredients


def facts_of(resolved: Resolved, parcel: Parcel, wish: Wish) -> Facts:
    """Reads the manifests, the statistics and the scores.

    Raises:
        RecipeError: what the parcel was made of is not there; see ``lineage.trace``.
    """
    lineage = trace(resolved, parcel)
    found, reader = lineage.ingredients, Reader()
    train = lineage.rounds[0].train
    base = base_of(resolved.profile.base_model, wish.base_model) if train else None
    stated = terms.of_model(found, base.licence, wish.repo) if base else terms.of_data(found, wish.repo)
    stated = Terms(wish.licence) if wish.licence else stated
    scored = tables(resolved, parcel, lineage, base.name, reader) if base else []
    return Facts(parcel, wish, lineage, base, stated, scored, dict(_linked(resolved, lineage, wish)), reader.notes)


def _linked(resolved: Resolved, lineage: Lineage, wish: Wish) -> Iterator[tuple[str, str]]:
    """What this is made of and is on the hub already; a card that everybody reads names nothing private."""
    before = lineage.unquantised.name if lineage.unquantised else None
    keys = {"data": lineage.rounds[0].data["key"], before: lineage.merge["key"] if lineage.merge else None}
    for what, pushed in upload.pushed(resolved.run.folder).items():
        if pushed.key == keys.get(what) and (wish.private or not pushed.private) and pushed.repo != wish.repo:
            yield ("unquantised" if what == before else what), pushed.repo


def card(facts: Facts) -> str:
    """README.md.

    Raises:
        RecipeError: a mistake in a template.
    """
    data = facts.parcel.kind is Kind.DATA
    matter, name = (_of_data(facts), "dataset.md.j2") if data else (_of_model(facts), "model.md.j2")
    return f"---\n{matter}\n---\n\n{_rendered(name, facts)}"


def _of_model(facts: Facts) -> str:
    from huggingface_hub import ModelCardData  # half a second, which only cards need

    kind, lineage = facts.parcel.kind, facts.lineage
    made_of = facts.linked.get("unquantised") or (facts.base.hub if facts.base else None)
    tags = [*_TAGS, "axolotl", "qlora", *(["lora"] if kind is Kind.ADAPTER else ["wise-ft"])]
    sources = {one.home.removeprefix(f"{HUB}/datasets/") for one in lineage.ingredients if "/datasets/" in one.home}
    results = list(_results(facts)) or None
    found = ModelCardData(
        language=languages(lineage), license=facts.terms.licence, license_name=facts.terms.name,
        license_link=facts.terms.link, library_name="peft" if kind is Kind.ADAPTER else "transformers",
        pipeline_tag="text-generation", tags=[*tags, *(["awq", "4-bit"] if lineage.awq else [])],
        base_model=made_of, base_model_relation=_relation(facts) if made_of else None,
        datasets=[*filter(None, [facts.linked.get("data")]), *sorted(sources)] or None,
        model_name=facts.wish.repo.rpartition("/")[2] if results else None, eval_results=results,
    )  # fmt: skip
    return found.to_yaml()


def _relation(facts: Facts) -> str:
    """On the hub a model is one of its base's adapters, finetunes, merges or quantisations. Weights between the base's
    and the trained ones are a merge; of a model that is not there, nothing is a quantisation."""
    if facts.parcel.kind is Kind.ADAPTER:
        return "adapter"
    if facts.linked.get("unquantised"):
        return "quantized"
    return "finetune" if [share for _, share in facts.lineage.mixture] == [1] else "merge"


def _results(facts: Facts) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    for table in facts.tables:
        for line in table.lines:
            at = f" at wise-ft weight {line.weight:g}" if line.weight is not None else ""
            for column, part in sorted(line.parts.items()) if line.ours else ():
                yield EvalResult(
                    task_type="text-generation", task_name=f"ShopBench, {_column(column)}",
                    dataset_type="shopbench", dataset_name=f"{table.questions}, {_column(column)}",
                    dataset_config=f"{table.questions}, {_column(column)}",
                    metric_type="score", metric_name=f"ShopBench score{at}", metric_value=round(part["score"], 4),
                )  # fmt: skip


def _of_data(facts: Facts) -> str:
    from huggingface_hub import DatasetCardData

    stats = facts.lineage.rounds[0].stats
    rows = stats["totals"]["kept"] + stats["totals"]["held_out"]
    kinds = {TaskType(kind) for row in stats["datasets"].values() for kind in row["types"]}
    found = DatasetCardData(
        language=languages(facts.lineage), license=facts.terms.licence,
        license_name=facts.terms.name, license_link=facts.terms.link,
        size_categories=next((name for most, name in _SIZES if rows < most), "1M<n<10M"),
        task_categories=[_TASKS[kind] for kind in TaskType if kind in kinds],
        pretty_name=f"Blend {facts.blend}: questions about shopping", tags=_TAGS,
        configs=[{"config_name": "default", "data_files": [
            {"split": "train", "path": "train.parquet"}, {"split": "validation", "path": "val.parquet"}]}],
    )  # fmt: skip
    return found.to_yaml()


def languages(lineage: Lineage) -> list[str]:
    """English, and what else Amazon-M2's products speak."""
    rows = [row for one in lineage.rounds for row in one.stats["datasets"].values() if row["kept"]]
    many = any(row["source"] == "amazon_m2" or row["track"] == _MANY_LANGUAGES for row in rows)
    return sorted({_LANGUAGES[site] for site in amazon_m2.LOCALES}) if many else ["en"]


def _column(name: str) -> str:
    return name if name == OVERALL else f"track {name}"


def _rendered(name: str, facts: Facts) -> str:
    first = facts.lineage.rounds[0]
    settings = first.train["inputs"]["axolotl"] if first.train else {}
    alphas = default_alphas(facts.blend)
    more = {
        "facts": facts,
        "first": first,
        "settings": [(key, settings[key]) for key in _SETTINGS if key in settings],
        "quality": gate.summary(facts.lineage.quality) if facts.lineage.quality else [],
        "alphas": alphas,
        "use": terms.use(facts.lineage.ingredients),
        "headline": _headline(facts.tables, alphas),
        "system_prompt": system_prompt(TaskType.MULTIPLE_CHOICE),
        "what": {task: load_task(task).what for task in first.stats["datasets"] if task in task_names()},
        "Kind": Kind,
        "TaskType": TaskType,
    }
    return render(_HERE, name, more, column=_column, interval=interval, in_words=in_words, cell=cell, number=number)


def _headline(found: Sequence[Table], alphas: Sequence[float]) -> str | None:
    """The overall scores on the most questions; of an adapter, at the weight at which the recipe uses it."""
    lines = [line for line in found[0].lines if OVERALL in line.parts] if found else []
    ours = sorted((line for line in lines if line.ours), key=lambda line: line.weight not in alphas)
    if not ours:
        return None
    base = next((line for line in lines if line.name.endswith("(base)")), None)
    told = f"{number(ours[0].parts[OVERALL]['score'])}"
    told += f" at weight {ours[0].weight:g}" if ours[0].weight is not None else ""
    told += f"; the base {number(base.parts[OVERALL]['score'])}" if base else ""
    return f"{told}; the constant answer {number(found[0].constant.get(OVERALL))}"
