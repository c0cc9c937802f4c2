"""What a column's value may be the name of."""

from __future__ import annotations

import pytest

from dataset_builders.tasks._lexicon import is_brand


@pytest.mark.parametrize(
    "value",
    ["Aldwick", "Lorvik & Sons", "3Nordic", "The Orchard", "7 Peaks", "Orvik (UK)", "Dr. Orvik", "Mrs Fernhill's"],
)
def test_names_of_makers(value: str) -> None:
    assert is_brand(value)


@pytest.mark.parametrize(
    "value",
    [
        "Generic",
        "The",
        "do",
        "Women",
        "Black",
        "(Ship",
        "Pack)",
        "50Pcs/lot",
        "2 Pack",
        "--",
        "200",
        "3-in-1",
        '24"w',
        "10ml",
        "Dr.",
        "Mother's",
        "just",
        "$15",
        "Lorvik,",
        "NORROW:",
        "(Renewed)",
        "50%",
    ],
)
def test_parts_of_titles_are_no_makers(value: str) -> None:
    assert not is_brand(value)
