"""Sessions of Amazon-M2: what stands beside what was bought."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from dataset_builders.held_out import held_out
from tests.dataset_builders.raw_files import write_csv
from tests.dataset_builders.test_tasks_m2 import asked, listing


def test_what_the_data_also_support_is_no_wrong_choice(tmp_path: Path) -> None:
    """B0 was bought after B1 to B3, and by somebody else after B4; B5 is another one like it."""
    ids = [name for name in (f"B{at}" for at in range(400)) if not held_out(f"product:{name}")]
    bought, *clicked, elsewhere, alike = ids[:6]
    rows = [listing(bought, "UK", "Aldwick Camping Lantern Green"), listing(alike, "UK", "Camping Lantern by Fernhill")]
    rows += [listing(id, "UK", f"Thing Number{id}") for id in ids if id not in (bought, alike)]
    sessions = [(f"['{clicked[0]}' '{clicked[1]}' '{clicked[2]}']", bought, "UK"), (f"['{elsewhere}']", bought, "UK")]
    sessions += [(f"['{one}' '{alike}' '{elsewhere}']", other, "UK") for one, other in pairwise(ids[6:])]
    write_csv(tmp_path / "amazon_m2/sessions_train.csv", [("prev_items", "next_item", "locale"), *sessions])
    made = [q for q in asked(tmp_path, "co_purchase", *rows) if q.fields["title"] == "Aldwick Camping Lantern Green"]
    assert made
    for question in made:
        listed = {name.removeprefix("product:") for name in question.also}
        assert len(question.truth) == 3 and listed >= {bought, *clicked} and not listed & {alike, elsewhere}  # type: ignore[arg-type]
