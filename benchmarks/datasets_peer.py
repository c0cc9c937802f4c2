"""The blend as one would build it with Hugging Face `datasets`: from_generator, map, filter, concatenate, shuffle.

Our builders, our prompts, our search for near-duplicates, the same rows; what is compared is everything around them.
Usage: python -m benchmarks.datasets_peer RAW ROWS OUT
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axolotl_configs.blend import resolve_blend, scaled
from dataset_builders.held_out import held_out
from dataset_builders.pools.likeness import NearDuplicates, Words, answer_of, texts_of
from dataset_builders.raw import RawData
from dataset_builders.task import Question, Seeded, load_task, task_names
from dataset_builders.wording import messages
from spine.paths import EMBEDDED
from spine.prompts import wordings

LONGEST = 1024
_OURS = ["question", "texts", "answer", "new"]


def questions(name: str, raw: str) -> Iterator[dict[str, Any]]:
    """A builder's questions as rows of one schema."""
    task = load_task(name)
    for question in task.build(RawData(Path(raw)), Seeded(0, name)):
        if not any(map(held_out, (question.entity, *question.also))):
            content = json.dumps([question.fields, question.truth])
            row = {"task": name, "entity": question.entity, "question": content}
            yield {**row, "texts": texts_of(question), "answer": answer_of(task.type, question)}


class Worded:
    """A question in words, and its length; for ``Dataset.map`` in several processes."""

    def __init__(self) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)

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
        made = made.select(range(min(len(made), 2 * portion.rows)))
        near = NearDuplicates()
        made = made.map(
            lambda rows, near=near: {"new": near.sieve(Words.of(rows["texts"]), rows["answer"])}, batched=True
        )
        made = made.filter(lambda row: row["new"])
        made = made.select(range(min(len(made), portion.rows)))
        made = made.map(worded, num_proc=min(len(made), os.cpu_count() or 1), remove_columns=_OURS)
        parts.append(made.filter(lambda row: row["tokens"] <= LONGEST))
    Path(out).mkdir(parents=True, exist_ok=True)
    concatenate_datasets(parts).shuffle(seed=42).to_parquet(f"{out}/train.parquet")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
