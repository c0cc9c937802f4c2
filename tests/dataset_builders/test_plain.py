"""Texts without markup and noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builders.raw import RawData
from dataset_builders.sources import amazon_reviews, ecinstruct, esci
from dataset_builders.sources._plain import plain
from tests.dataset_builders.esci_rows import judge
from tests.dataset_builders.raw_files import put, write_jsonl
from tests.dataset_builders.review_rows import product, review


@pytest.mark.parametrize(
    ("published", "read"),
    [
        ("[[VIDEOID:1e8d87c9af]] Fits my desk.", "Fits my desk."),
        ("Like my [[ASIN:B0EXAMPLE1 Aldwick Oak Tray]]s [[VIDEO ID]]", "Like my s [[VIDEO ID]]"),
        ("It&#39;s 2&#34; wide &amp;amp; light &lt;3 really", "It's 2\" wide & light <3 really"),
        ("Great dress<br /><br/>Love it<BR>", "Great dress\n\nLove it"),
        ("<p class='x'>Oak.</p><ul><li>Oiled</li><li>Sanded</li></ul>", "Oak.\n\n\nOiled\n\nSanded"),
        ("So <b>very</b> so<i>ft</i> <a href=\"https://x.y/z?a=1\">here</a>", "So very soft here"),
        ("&lt;br&gt;Escaped markup", "Escaped markup"),
        ("<style>p {color: red}</style>Oak<!-- no --><script>alert('<b>')</script> tray", "Oak   tray"),
        ("a <b and c> d, 3 < 5 > 4, <3", "a <b and c> d, 3 < 5 > 4, <3"),
        ("zero\u200bwidth\ufeff so\u00adft\x07 \ufffd", "zerowidth soft"),
        ("naïve – “quoted” ½ 包丁 👍", "naïve – “quoted” ½ 包丁 👍"),
        (None, ""),
    ],
)  # fmt: skip
def test_markup_and_noise_go(published: str | None, read: str) -> None:
    assert plain(published) == read


@given(st.text(st.characters(exclude_characters="<&[", exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "So"])))
def test_other_texts_stay(text: str) -> None:
    assert plain(text) == text.strip()


@given(st.text(max_size=80))
def test_nothing_unseen_stays(text: str) -> None:
    assert not set(plain(text)) & {"\u200b", "\u00ad", "\ufeff", "\x00", "\x07", "\u202e"}


NOISY, CLEAR = "[[VIDEOID:a1]]Oak &amp; <b>oiled</b>\u200b", "Oak & oiled"


def test_every_reader_of_a_shop_gives_plain_texts(tmp_path: Path) -> None:
    raw = RawData(tmp_path)
    folder = tmp_path / "amazon_reviews/raw"
    write_jsonl(folder / "review_categories/Home.jsonl", [review(1, NOISY) | {"title": NOISY}])
    row = product(1, NOISY, ("Home &amp; Garden", NOISY), features=[NOISY], description=[NOISY], store=NOISY)
    write_jsonl(folder / "meta_categories/meta_Home.jsonl", [row | {"details": {"Finish": NOISY, "Pieces": 2}}])
    (found,) = amazon_reviews.products(raw, "Home")
    assert found.categories == ("Home & Garden", CLEAR) and found.details == {"Finish": CLEAR, "Pieces": 2}
    assert (found.title, found.store, *found.features, *found.description) == (CLEAR,) * 4
    (said,) = amazon_reviews.reviews(raw, "Home")
    assert (said.title, said.text) == (CLEAR, CLEAR)
    columns = {name: {"p": NOISY} for name in ("title", "description", "bullet_point", "brand", "color")}
    judge(tmp_path, [(NOISY, "p", "E")], columns)
    assert next(iter(esci.products(raw)))[2:] == (CLEAR,) * 5 and [*esci.titles(raw, "us")] == [("p", CLEAR)]
    assert next(iter(esci.examples(raw))).query == CLEAR
    given = {"split": "train", "task": "Answer_Generation", "setting": "IND_Diverse_Instruction", "instruction": "?"}
    given |= {"input": json.dumps({"question": "&quot;Oak&quot;?", "document": [NOISY]}), "output": NOISY}
    put(tmp_path / "ecinstruct/dataset.json", json.dumps([given]))
    (example,) = ecinstruct.examples(raw, "Answer_Generation")
    assert example.input == {"question": '"Oak"?', "document": [CLEAR]} and example.output == CLEAR
