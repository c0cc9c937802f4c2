"""What a question of MMLU is called, in every dataset that asks it."""

from __future__ import annotations

from dataset_builders.sources.mmlu import Item
from dataset_builders.tasks._common import digest

_PASSAGE = 100  # characters


def entity_of(item: Item) -> str:
    """Several questions are on one passage (RACE), and it comes first: they share an entity."""
    return f"mmlu:{digest(item.question[:_PASSAGE])}"
