"""Files of seed rows, and the digests that seed rows and templates are known by."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dataset_builders.synthesis import request
from dataset_builders.synthesis.declare import (
    Seed,
    load_synthesis,
    synthesis_names,
)
from dataset_builders.synthesis.request import seed_digest
from dataset_builders.synthesis.seeds import SeedFile, SeedRequest, ensure_seeds, write_seeds
from spine.paths import PROMPTS
from tests.dataset_builders.synthesis.conftest import reviews


def test_a_seed_file(tmp_path: Path) -> None:
    seeds = list(reviews(2500))
    assert write_seeds(tmp_path / "s", iter([*seeds, seeds[0]])) == 0
    file = SeedFile(tmp_path / "s")
    assert len(file) == 2500
    places = [0, 1, 1023, 1024, 2400]
    assert [digest for digest, _ in file.rows(iter(places))] == [seed_digest(seeds[at]) for at in places]
    settled = b"".join(seed_digest(seeds[at]) for at in places)
    assert file.without(settled) == [at for at in range(2500) if at not in places]
    assert file.without(b"") == list(range(2500))


def test_an_empty_seed_file(tmp_path: Path) -> None:
    assert write_seeds(tmp_path / "s", iter([])) == 0
    file = SeedFile(tmp_path / "s")
    assert len(file) == 0 and file.without(b"") == file.without(b"x" * 16) == [] and list(file.rows(iter([]))) == []


def test_seed_rows_chosen_side_by_side_are_the_same(shop: Path, cache: Path, tmp_path: Path) -> None:
    wanted = [SeedRequest(name, 32, shop) for name in ("query_relation", "query_entities")]
    here, there = (ensure_seeds(wanted, folder, lambda *told: None) for folder in (tmp_path, cache))
    assert {name: path.read_bytes() for name, path in here.items()} == {
        name: path.read_bytes() for name, path in there.items()
    }


def test_a_changed_template_asks_its_own_again_and_a_changed_frame_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digests(changed: str | None) -> dict[str, str]:
        folder = tmp_path / str(changed)
        shutil.copytree(PROMPTS / "synthesis", folder / "synthesis")
        if changed:
            with (folder / "synthesis" / changed).open("a") as template:
                template.write("And be quick.")
        monkeypatch.setattr(request, "PROMPTS", folder)
        request._instructions.cache_clear()
        return {name: request.template_digest(load_synthesis(name)) for name in synthesis_names()}

    before = digests(None)
    assert {name for name, found in digests("query_entities.j2").items() if found != before[name]} == {"query_entities"}
    assert not before.items() & digests("_system.j2").items()
    monkeypatch.undo()
    request._instructions.cache_clear()


def test_a_seed_is_its_fields() -> None:
    one = Seed("product:1", {"b": 1, "a": "x"}, "")
    assert seed_digest(one) == seed_digest(Seed("product:2", {"a": "x", "b": 1}, "")) != seed_digest(Seed("p", {}, ""))
