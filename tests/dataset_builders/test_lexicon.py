"""What a column's value may be the name of."""

from __future__ import annotations

import pytest

from dataset_builders.tasks._lexicon import family, is_brand, without_idioms


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


def test_navy_may_stand_for_blue_and_a_white_out_tape_is_not_white() -> None:
    assert {"blue", "teal"} < family(["navy"]) and family(["oak"]) == {"oak"}
    assert family(["navy"]).isdisjoint(family(["red", "wine"]))
    assert "white" not in without_idioms(" white out tape ") and without_idioms(" white tape ") == " white tape "
