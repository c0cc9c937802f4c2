"""The report's page in a real browser: it renders, its filters work, nothing is fetched, no answer breaks out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recipe.report.collect import collect
from recipe.report.page import write
from recipe.report.subject import of_recipe
from recipe.walk.request import WalkRequest
from recipe.walk.stages import Stages
from spine import runs
from tests.browser import SKIPPED, Browser
from tests.recipe import made_up
from tests.recipe.made_up import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SKIPPED, reason="needs chromium: apt-get install chromium"),
]
NASTY = "</script><script>window.broken = 1</script><img src=https://example.com/x.png onerror='window.broken = 2'>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report, whose wrong answers try to break out of it."""
    folder = tmp_path_factory.mktemp("report")
    wanted = WalkRequest("cpu-fast")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "RUNS", folder / "runs")
        patch.setattr(made_up, "WRONG", NASTY)
        made_up.taken_as_done(patch)
        World(Stages(wanted)).do("questions", "data", "train", "sweep", "merge", "awq", "eval")
        write(collect(of_recipe(wanted)), folder)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture
def opened(browser: Browser, report: Path) -> Browser:
    browser.open(report / "report.html")
    return browser


def choose(browser: Browser, **values: str) -> None:
    for name, value in values.items():
        control = json.dumps(name.replace("_", "-"))
        browser.run(f"document.getElementById({control}).value = {json.dumps(value)}")
        browser.run(f"document.getElementById({control}).dispatchEvent(new Event('input'))")


def shown(browser: Browser) -> list[dict[str, Any]]:
    """The examples that can be seen, in their order."""
    found: list[dict[str, Any]] = browser.run(
        """[...document.querySelectorAll('.example')].filter((card) => card.offsetHeight > 0).map((card) => ({
             type: card.dataset.type, task: card.dataset.task,
             scores: Object.fromEntries([...card.querySelectorAll('dd.answer')].map(
               (answer) => [answer.dataset.row, +answer.dataset.score]))}))"""
    )
    return found


def heights(browser: Browser) -> list[float]:
    """Of the pictures that can be seen."""
    script = "[...document.querySelectorAll('figure svg')].map((one) => one.getBoundingClientRect().height)"
    return [height for height in browser.run(script) if height]


def test_it_renders_and_fetches_nothing(opened: Browser, report: Path) -> None:
    assert opened.requests == [(report / "report.html").as_uri()]
    assert opened.run("performance.getEntriesByType('resource').length") == 0
    assert opened.complaints == []
    assert opened.run("document.querySelector('h1').textContent").startswith("Round 1 answers ")
    drawn = heights(opened)
    assert len(drawn) == 6 and min(drawn) > 100
    tiles = opened.run("[...document.querySelectorAll('.tiles dt')].map((one) => one.textContent)")
    assert tiles == ["held-out loss", "score, AWQ of round 2", "time", "cost"]
    names = opened.run("[...document.querySelectorAll('.scores tbody th')].map((one) => one.firstChild.textContent)")
    assert names[0] == "base" and names[-1] == "the constant answer" and "AWQ of round 2" in names
    in_numbers = {row["name"]: row for row in json.loads((report / "report.json").read_text())["rows"]}
    cell = opened.run("document.querySelector('.scores tbody td b').textContent")
    assert float(cell) == pytest.approx(in_numbers["base"]["cells"]["1"]["score"], abs=5e-4)


def test_answers_stay_text(opened: Browser) -> None:
    assert opened.run("window.broken") is None and opened.run("document.images.length") == 0
    assert opened.run("document.scripts.length") == 1
    assert NASTY in opened.run("document.getElementById('list').textContent")


def test_a_script_from_elsewhere_would_not_run(opened: Browser) -> None:
    opened.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'broken = 3'}))")
    opened.run("document.body.append(Object.assign(new Image(), {src: 'https://example.com/x.png'}))")
    assert opened.run("window.broken") is None
    assert sum("Content Security Policy" in line for line in opened.complaints) == 2


def test_filters_and_order(opened: Browser) -> None:
    everything = opened.run("document.querySelectorAll('.example').length")
    assert len(shown(opened)) == 20 and opened.run("count.value") == f"20 of {everything} shown; {everything} in all"
    last = "AWQ of round 2"
    choose(opened, by_type="multiple-choice")
    assert {one["type"] for one in shown(opened)} == {"multiple-choice"}
    choose(opened, by_type="", by_task="name_colour", by_score="right")
    found = shown(opened)
    assert found and {one["task"] for one in found} == {"name_colour"}
    assert {next(reversed(one["scores"].values())) for one in found} == {1}
    choose(opened, by_row="round 1", by_score="wrong")
    assert {one["scores"]["round 1"] for one in shown(opened)} == {0}
    choose(opened, by_row="round 1, swept weights", by_task="", by_score="gained")
    found = shown(opened)
    assert found and all(one["scores"]["round 1, swept weights"] > one["scores"]["base"] for one in found)
    choose(opened, by_row=last, by_score="", by_task="rank_figs", order="best")
    best = [one["scores"][last] for one in shown(opened)]
    assert best == sorted(best, reverse=True) and best[0] > best[-1]
    choose(opened, order="worst", holds="NUMBER 7 OF")
    assert len(shown(opened)) == 1 and opened.run("count.value").startswith("1 of 1 shown")
    choose(opened, holds="no such words")
    assert shown(opened) == [] and opened.run("count.value").startswith("0 of 0 shown")


def test_more_are_shown_on_demand(opened: Browser) -> None:
    everything = opened.run("document.querySelectorAll('.example').length")
    while opened.run("document.getElementById('more').hidden") is False:
        before = len(shown(opened))
        opened.run("document.getElementById('more').click()")
        assert len(shown(opened)) == min(everything, before + 20)
    assert len(shown(opened)) == everything


def test_by_keyboard_alone(opened: Browser) -> None:
    opened.run("document.querySelector('nav a:last-child').focus()")
    while opened.run("document.activeElement.id") != "by-row":
        opened.press("Tab")
    assert opened.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"  # one sees where one is
    opened.press("Tab")
    before = {one["type"] for one in shown(opened)}
    opened.press("r", "a", "n")
    assert opened.run("document.activeElement.value") == "ranking"
    assert before != {one["type"] for one in shown(opened)} == {"ranking"}
    while opened.run("document.activeElement.tagName") != "SUMMARY":
        opened.press("Tab")
    opened.press("Enter")
    assert opened.run("document.activeElement.parentElement.open") is True
    assert opened.run("document.activeElement.parentElement.className") == "example"


@pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1200, True)])
def test_narrow_and_dark(browser: Browser, report: Path, width: int, dark: bool) -> None:
    browser.open(report / "report.html", width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width  # what is wider scrolls by itself
    wide = "[...document.querySelectorAll('figure')].map((one) => one.scrollWidth - one.clientWidth)"
    assert len(heights(browser)) == 6 and browser.run(wide) == [0] * 6  # panels stand below each other instead
    channels = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(channels) < 60) == dark
    ink = browser.run("getComputedStyle(document.querySelector('figure svg text')).fill.match(/\\d+/g).map(Number)")
    assert (min(ink) > 120) == dark
    assert browser.complaints == []


def test_printed(browser: Browser, report: Path) -> None:
    browser.open(report / "report.html")
    browser.call("Emulation.setEmulatedMedia", media="print")
    hidden = browser.run("[...document.querySelectorAll('nav, .filters')].map((one) => getComputedStyle(one).display)")
    assert set(hidden) == {"none"}
    browser.call("Emulation.setEmulatedMedia", media="")
