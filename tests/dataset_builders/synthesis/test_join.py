"""What was made in a blend: taken first, with its provenance, in its own words, and never among held-out rows."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataset_builders.blend.choose import Limits, choose
from dataset_builders.held_out import held_out
from dataset_builders.llm_rows import path_of, read_llm_rows
from dataset_builders.pools.build import Pool
from dataset_builders.pools.cache import ensure_pools
from dataset_builders.pools.choice import unpacked
from dataset_builders.synthesis.answers import judge
from dataset_builders.synthesis.declare import Unfit, load_synthesis
from dataset_builders.synthesis.export import export
from dataset_builders.synthesis.report import qualities, write_report
from dataset_builders.synthesis.request import Settings
from dataset_builders.synthesis.seeds import SeedRequest, ensure_seeds
from dataset_builders.synthesis.store import AGAIN, KEPT, REJECTED, Record, Store
from dataset_builders.synthesis.work import Work, estimates, prepare
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from tests.dataset_builders.synthesis.test_tasks import GOOD

NAMES = ("product_category", "query_relation")
ROWS = 60


def good_answers(work: Work) -> Iterator[tuple[bytes, bytes, str]]:
    """Digest, seed row and answer."""
    for digest, row in work.seeds.rows(iter(range(len(work.seeds)))):
        said = json.dumps(GOOD[work.synthesis.name](unpacked(row)))
        try:
            judge(work.synthesis, unpacked(row), said)
        except Unfit:
            continue
        yield digest, row, said


def prepared(wanted: list[SeedRequest], store: Store, cache: Path) -> list[Work]:
    return prepare(wanted, ensure_seeds(wanted, cache, lambda *told: None), store, "tiny", Settings())


@pytest.fixture(scope="module")
def answered(shop: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of twenty good answers and two bad ones for each dataset, exported."""
    folder = tmp_path_factory.mktemp("synthesis")
    wanted = [SeedRequest(name, 20, shop) for name in NAMES]
    with Store(folder / "store.sqlite") as store:
        works = prepared(wanted, store, cache)
        for work in works:
            for number, (digest, row, said) in enumerate(islice(good_answers(work), 22)):
                texts, verdict = (said, ""), (KEPT, "")
                if number >= 20:
                    texts, verdict = ("Sorry, no.", "Sorry, no."), (REJECTED, "a refusal")
                store.put(Record(work.head.id, digest, *verdict, row, *texts, 90, 9, 0.2, 1.0)).result()
            assert export(store, work.synthesis, folder) == 20
    return folder


def pools(shop: Path, folder: Path | None, model: Path) -> list[Pool]:
    return [Pool(name, shop, str(model), 42, ROWS, 10, llm_rows=folder and path_of(folder, name)) for name in NAMES]


def build(shop: Path, folder: Path | None, model: Path, cache: Path) -> dict[str, Path]:
    return ensure_pools(pools(shop, folder, model), cache, ChatTokenizer.load(str(model)).digest, lambda *told: None, 1)


def test_made_rows_come_first_and_know_where_they_come_from(
    shop: Path, answered: Path, model: Path, tmp_path: Path
) -> None:
    found = build(shop, answered, model, tmp_path / "cache")
    for name, folder in found.items():
        rows = pq.read_table(folder / "pool.parquet").to_pylist()
        val, train = ([row for row in rows if row["held_out"] is side] for side in (True, False))
        made = [row for row in train if row["model"]]
        assert train[: len(made)] == made and 15 <= len(made) <= 20 < len(train)
        assert all(row["model"] is None for row in val) and val
        assert {(row["model"], len(row["template"])) for row in made} == {("tiny", 16)}
        assert {row["seed_row"] for row in made} <= set(pq.read_table(path_of(answered, name))["seed"].to_pylist())
        about = Counter(row["entities"][0] for row in train)
        assert all(about[row["entities"][0]] == 1 for row in made)  # the rules ask nothing more about those rows
    reworded = pq.read_table(found["product_category"] / "pool.parquet").to_pylist()
    own = [row for row in reworded if row["wording"] == "reworded"]
    assert own and all("one of our customers" in row["messages"][1]["content"] for row in own)
    assert all("\n0. " in row["messages"][1]["content"] and "[[" not in row["messages"][1]["content"] for row in own)


def test_the_blend_counts_them(shop: Path, answered: Path, model: Path, tmp_path: Path) -> None:
    folders = build(shop, answered, model, tmp_path / "cache")
    chosen = choose(folders, {name: (40, 4) for name in NAMES}, Limits(2048, 0.5))
    for name in NAMES:
        (made,) = chosen.counts[name].llm_rows
        assert made.model == "tiny" and 10 <= made.rows == made.seed_rows <= 20
        assert chosen.counts[name].kept == 40


def test_without_answers_nothing_changes(shop: Path, model: Path, tmp_path: Path) -> None:
    first, second = (build(shop, tmp_path / name, model, tmp_path / f"cache-{name}") for name in "ab")
    for name in NAMES:
        assert first[name].name == second[name].name
        rows = pq.read_table(first[name] / "pool.parquet")
        assert rows["model"].null_count == len(rows)


def test_the_export_decides_the_pool(shop: Path, answered: Path, model: Path, tmp_path: Path) -> None:
    cache, changed = tmp_path / "cache", tmp_path / "changed"
    shutil.copytree(answered, changed)
    table = pq.read_table(path_of(changed, NAMES[0]))
    pq.write_table(table.slice(0, 5), path_of(changed, NAMES[0]))
    one, same, other = (build(shop, folder, model, cache) for folder in (answered, answered, changed))
    assert one == same
    assert one[NAMES[0]] != other[NAMES[0]] and one[NAMES[1]] == other[NAMES[1]]


def test_export_twice_gives_the_same_bytes(answered: Path, tmp_path: Path) -> None:
    with Store(answered / "store.sqlite") as store:
        for name in NAMES:
            export(store, load_synthesis(name), tmp_path)
            assert path_of(tmp_path, name).read_bytes() == path_of(answered, name).read_bytes()
            assert not any(held_out(question.entity) for question in read_llm_rows(path_of(answered, name)))


def test_a_broken_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(RecipeError, match="no file of made questions"):
        list(read_llm_rows(tmp_path / "x.parquet"))


def test_changed_rules_judge_what_is_stored(answered: Path, shop: Path, tmp_path: Path) -> None:
    """Nothing is asked again: an answer that was kept wrongly is sent back, one that was rejected wrongly is kept."""
    folder = tmp_path / "copy"
    shutil.copytree(answered, folder)
    with Store(folder / "store.sqlite") as store:
        head = next(head for head in store.heads() if head.dataset == "query_relation")
        records = list(store.records(head))
        good = next(record for record in records if record.state == KEPT)
        bad = next(record for record in records if record.state == REJECTED)
        store.judged(head, "older rules", [(REJECTED, "why", good.seed), (KEPT, "", bad.seed)])
        export(store, load_synthesis("query_relation"), folder)
        states = {record.seed: (record.state, record.reason) for record in store.records(head)}
        assert states[good.seed] == (KEPT, "") and states[bad.seed][0] in (REJECTED, AGAIN)
        assert path_of(folder, "query_relation").read_bytes() == path_of(answered, "query_relation").read_bytes()


def test_report_and_estimate(answered: Path, shop: Path, cache: Path, tmp_path: Path) -> None:
    with Store(answered / "store.sqlite") as store:
        found = {one.dataset: one for one in qualities(store)}
        assert set(found) == set(NAMES)
        one = found["query_relation"]
        assert (one.kept, one.judged, one.reasons) == (20, 22, {"a refusal": 2}) and one.words[1] == 1
        assert one.asked == 22 * 90 and one.questions == 20
        write_report(store, tmp_path)
        works = prepared([SeedRequest("query_relation", 30, shop)], store, cache)
        (estimate,) = estimates(works, store, Settings())
    assert (tmp_path / "report.png").stat().st_size > 5_000
    assert "| query_relation | construct | tiny | 22 | 20 (91%) |" in (tmp_path / "report.md").read_text()
    assert (estimate.kept, estimate.requests, estimate.answered) == (20, 10, 90)
    assert 2_000 < estimate.asked < 8_000


def test_another_process_may_have_done_the_work(answered: Path, shop: Path, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(answered, folder)
    with Store(folder / "store.sqlite") as store, Store(folder / "store.sqlite") as other:
        (work,) = prepared([SeedRequest("query_relation", 24, shop)], store, cache)
        assert (work.kept, work.wanted) == (20, 24) and work.next(store) is not None
        (theirs,) = prepared([SeedRequest("query_relation", 24, shop)], other, cache)
        for digest, row in theirs.seeds.rows(iter(range(60, 64))):
            other.put(Record(work.head.id, digest, KEPT, "", row, "{}", "", 1, 1, 0.1, 1.0)).result()
        found = [work.next(store) for _ in range(6)]
    assert found[-1] is None and work.kept + work.out <= 24
