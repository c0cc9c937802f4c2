"""The report's page as text: no answer can be more than words in it, and only its own script may run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.report import look
from recipe.report.examples import shortened
from recipe.report.facts import Answer, Example, Facts
from recipe.report.page import Versions, _coded, page
from spine.paths import ROOT

PAGE = ROOT / "recipe" / "report"


class Parsed(HTMLParser):
    """Elements with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


NASTY = [
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</details></main><h1>won</h1>",
    "{{ facts.__class__ }}{% raw %}", "&lt;b&gt; <!-- ", "\u202e\u2028 ]]>",
]  # fmt: skip


@settings(max_examples=40)
@given(st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=30)), min_size=5, max_size=5))
def test_no_answer_can_be_more_than_text(texts: list[str]) -> None:
    answer, prompt, truth, note, name = (text.replace("\r", " ").replace("\0", " ") for text in texts)
    plain = page(_facts("an answer", "a prompt", "a truth", "a note", "a name"), {})
    html = page(_facts(answer, prompt, truth, note, name), {})
    found = Parsed(html)
    elements = [[(tag, *attributes) for tag, attributes in Parsed(text).tags] for text in (html, plain)]
    assert elements[0] == elements[1]  # the same elements with the same attributes, no more
    assert (answer or "(nothing)") in "".join(found.words)


def _facts(answer: str, prompt: str, truth: str, note: str, name: str) -> Facts:
    example = Example(name, name, 1, name, prompt, truth, [Answer(name, name, answer, 0.5)])
    return Facts(
        title=name, headline=note, verdicts=[note], notes=[note], profile=name, purpose=note, base_model=name,
        data=name, machine=name, finished=None, seconds=0.0, cost=name, versions={name: [name]}, commits=[name],
        again=name, again_report=name, folder=name, questions=name, steps=[], rows=[], gains=[], blends=[],
        losses=[], curves=[], exports=[], examples=[example], empty={"loss": name},
    )  # fmt: skip


def test_only_the_pages_own_script_may_run_and_nothing_is_fetched() -> None:
    svg = '<svg width="9" viewBox="0 0 1 1"><g id="a"/></svg>'
    html = page(
        _facts("an answer", "a prompt", "a truth", "a note", "a name"),
        {"flow": Versions(*(look.embedded(f"<?xml?>{svg}", name) for name in ("flow", "flow-narrow")))},
    )
    policy = next(attributes["content"] for tag, attributes in Parsed(html).tags if "http-equiv" in attributes) or ""
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and "script-src 'unsafe" not in policy
    assert '<g id="flow-a"/>' in html and '<g id="flow-narrow-a"/>' in html and "<?xml" not in html
    targets = [attributes.get(key) for _, attributes in Parsed(html).tags for key in ("src", "href", "xlink:href")]
    assert all(target.startswith(("#", "data:,")) for target in targets if target)


def test_a_pictures_colours_are_the_pages() -> None:
    style = (PAGE / "page.css").read_text()
    used = set(re.findall(r"var\(--(\w+)\)", look.embedded(f"<svg viewBox='0'>{' '.join(look._VARIABLES)}</svg>", "x")))
    assert used == set(look._VARIABLES.values())
    for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL):  # light, dark and printed
        assert used <= set(re.findall(r"--(\w+):", block))


@given(st.text(max_size=300), st.integers(20, 100))
def test_shortened_text_keeps_both_ends(text: str, letters: int) -> None:
    found = shortened(text, letters)
    if len(text) <= letters:
        assert found == text
    else:
        assert found.startswith(text[: letters // 2]) and found.endswith(text[-(letters // 2) :])
        assert f"{len(text) - letters:,} letters" in found


@given(st.text("`<&a "))
def test_what_stands_between_backticks_is_code_and_nothing_else_changes(text: str) -> None:
    found = Parsed(_coded(text))
    assert all(tag == ("code", {}) for tag in found.tags)
    assert "".join(found.words) == (text if text.count("`") % 2 else text.replace("`", ""))
