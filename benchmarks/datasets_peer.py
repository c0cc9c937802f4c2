"""The blend as one would build it with Hugging Face `datasets`: from_generator, map, filter, concatenate, shuffle.

Our builders, our prompts, the same rows; what is compared is everything around them. It is spared the search for
near-duplicates and the split by entity. Usage: python -m benchmarks.datasets_peer RAW ROWS OUT
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axolotl_configs.blend import resolve_blend, scaled
from dataset_builders.chat import messages
from dataset_builders.raw import RawData
from dataset_builders.task import Question, Seeded, load_task, task_names
from recipe.paths import ROOT
from recipe.prompts import wordings

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"
LONGEST = 1024


def questions(name: str, raw: str) -> Iterator[dict[str, Any]]:
    """A builder's questions as rows of one schema."""
    for question in load_task(name).build(RawData(Path(raw)), Seeded(0, name)):
        yield {"task": name, "entity": question.entity, "question": json.dumps([question.fields, question.truth])}


class Worded:
    """A question in words, and its length; for ``Dataset.map`` in several processes."""

    def __init__(self) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(MODEL)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        task, (fields, truth) = load_task(row["task"]), json.loads(row["question"])
        names = wordings(task.name)
        wording = names[Seeded(42, task.name).digest(row["entity"]) % len(names)]
        turns = messages(task, task.type, wording, Question(row["entity"], fields, truth))
        text = self.tokenizer.apply_chat_template(turns, tokenize=False)
        return {"messages": turns, "tokens": len(self.tokenizer(text, add_special_tokens=False)["input_ids"])}


def main(raw: str, rows: int, out: str) -> None:
    """Writes OUT/train.parquet."""
    from datasets import Dataset, concatenate_datasets

    worded, parts = Worded(), []
    for portion in scaled(resolve_blend("v8", task_names()).portions, rows):
        made = Dataset.from_generator(questions, gen_kwargs={"name": portion.name, "raw": raw})
        seen: set[str] = set()

        def new(row: dict[str, Any], seen: set[str] = seen) -> bool:
            fresh = row["question"] not in seen
            seen.add(row["question"])
            return fresh

        made = made.filter(new).shuffle(seed=42)
        made = made.select(range(min(len(made), portion.rows)))
        made = made.map(worded, num_proc=min(len(made), os.cpu_count() or 1), remove_columns=["question"])
        parts.append(made.filter(lambda row: row["tokens"] <= LONGEST))
    Path(out).mkdir(parents=True, exist_ok=True)
    concatenate_datasets(parts).shuffle(seed=42).to_parquet(f"{out}/train.parquet")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
