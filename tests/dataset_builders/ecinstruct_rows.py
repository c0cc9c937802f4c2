"""Rows of ECInstruct for tests, and the questions that are made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dataset_builders.pools.fitness import problem
from dataset_builders.raw import RawData
from dataset_builders.task import Question, Seeded, load_task
from tests.dataset_builders.raw_files import write_json

PUBLISHED = {
    "answer_generation": "Answer_Generation",
    "answerability": "Answerability_Prediction",
    "attribute_value_extraction": "Attribute_Value_Extraction",
    "product_matching": "Product_Matching",
    "product_relation": "Product_Relation_Prediction",
    "product_substitute": "Product_Substitue_Identification",
    "query_product_ranking_ecinstruct": "Query_Product_Ranking",
    "query_product_retrieval": "Query_Product_Ranking",
    "query_product_relevance": "Multiclass_Product_Classification",
    "review_sentiment_ranking": "Sentiment_Analysis",
    "sentiment_analysis": "Sentiment_Analysis",
    "sequential_recommendation": "Sequential_Recommendation",
}
RELATIONS = ["A: Both are bought.", "B: Both are viewed.", "C: Both are alike."]
MATCH = {"title": "Oak Board", "description": float("nan"), "manufacturer": "nan", "price": "19.99"}
QUERY = {"query": "oak board", "product": "Oak Board"}


def asked(name: str, raw: Path) -> list[Question]:
    """The task's questions, at least one, all of them fit."""
    task = load_task(name)
    found = list(task.build(RawData(raw), Seeded(0, name)))
    assert found and not [question for question in found if problem(task.type, question)]
    return found


def of_rows(tmp_path: Path, name: str, *rows: tuple[Any, str], options: Any = None) -> list[Question]:
    """Questions on rows with these inputs and outputs; texts are put in as they are, the rest as JSON."""
    base: dict[str, Any] = {"task": PUBLISHED[name], "split": "train", "setting": "IND_Diverse_Instruction"}
    base |= {"instruction": "Do it.", "options": options if isinstance(options, str | None) else json.dumps(options)}
    inputs = [given if isinstance(given, str) else json.dumps(given) for given, _ in rows]
    file = tmp_path / "ecinstruct/dataset.json"
    write_json(file, [base | {"input": a, "output": b} for a, (_, b) in zip(inputs, rows, strict=True)])
    return list(load_task(name).build(RawData(tmp_path), Seeded(0, name)))


def answer(question: Question) -> str:
    """The text of the right option."""
    assert isinstance(question.truth, int)
    return str(question.fields["options"][question.truth])
