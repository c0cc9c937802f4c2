"""The small pure parts: YAML with lines, proportions, answers as text, prompts, names of runs."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_configs.blend import apportion
from dataset_builders import task
from spine import code, prompts
from spine.errors import RecipeError, did_you_mean
from spine.progress import Meter, clock, waiting
from spine.prompts import clean, system_prompt, user_prompt, wordings
from spine.runs import Run
from spine.task_types import TaskType, answer_text
from spine.yamlfile import parse_scalar, read_yaml


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50), st.integers(1, 10**6))
def test_apportion_sums_and_stays_within_one_of_the_exact_share(weights: list[int], total: int) -> None:
    found = apportion(weights, total)
    assert sum(found) == max(total, len(weights)) and min(found) >= 1
    exact = [weight * total / sum(weights) for weight in weights]
    if min(exact) >= 1:  # nothing was lifted to 1
        assert all(abs(a - b) < 1 for a, b in zip(found, exact, strict=True))


def test_yaml_remembers_the_line_of_every_key_and_item(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n")
    file = read_yaml(path)
    assert file.data == {"a": 1, "b": ["x", {"c": 2, "d": 3}]}
    assert [file.where(*a).rpartition(":")[2] for a in (("a",), ("b", 0), ("b", 1, "d"), ("b", 1, "e"), ())] == [
        "1", "3", "5", "4", "1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "what"), [(b"\xff\xfe", "not UTF-8"), (b"a: [", "not valid YAML"), (b"x", "no mapping")]
)
def test_yaml_that_is_none(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=what):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(RecipeError, match="no such file"):
        read_yaml(tmp_path / "b.yaml")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    "text",
    [BOMB, "a: &x {b: 1}\nc: {<<: *x}", "a: !!python/object:os.system {b: 1}", "a: !!omap [b: 1]",
     "a: !!omap 1", "a: !!set {b}", "a: !foo b", "a: !!int x", "a: " + "[" * 3_000, "a: " + "9" * 5_000,
     "a: " + "9" * 20, "a: 2024-99-99", "a: !!binary aGVs"],
)  # fmt: skip
def test_yaml_that_says_more_than_settings_do_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(RecipeError, match="not valid YAML"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(RecipeError, match="not a YAML value"):
        parse_scalar(text)


def test_an_alias_may_stand_for_a_plain_value(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &x 1\nb: [*x, *x]")
    assert read_yaml(tmp_path / "a.yaml").data == {"a": 1, "b": [1, 1]}


@given(st.text("a:[]{}&*!<'\"#\n -0123456789.e", max_size=60))
def test_any_text_is_a_value_or_an_error(text: str) -> None:
    found: object = None
    with suppress(RecipeError):
        found = parse_scalar(text)
    assert json.dumps(found, default=str)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("true", True), ("null", None), ("[a, 2]", ["a", 2]), ("on", "on"), ("8", 8)]
)
def test_scalars_are_yaml_1_2(text: str, value: object) -> None:
    assert parse_scalar(text) == value and type(parse_scalar(text)) is type(value)


def test_the_nearest_name_is_offered() -> None:
    assert did_you_mean("lora_rr", ["lora_r", "seed"]) == "did you mean 'lora_r'?"
    assert did_you_mean("xyz", ["lora_r", "seed"]) == "known: lora_r, seed"
    assert did_you_mean("xyz", [str(n) for n in range(100)]) is None


@pytest.mark.parametrize(
    ("kind", "truth", "text"),
    [
        (TaskType.MULTIPLE_CHOICE, 0, "0"),
        (TaskType.RETRIEVAL, [6, 9, 15], "6,9,15"),
        (TaskType.RANKING, [1, 0.01, 0.1, 1, 0], "1,4,3,2,5"),
        (TaskType.NER, ["red", "dark blue"], "red, dark blue"),
        (TaskType.GENERATION, " a title ", "a title"),
    ],
)
def test_answers_in_the_form_the_parsers_read(kind: TaskType, truth: object, text: str) -> None:
    assert answer_text(kind, truth) == text  # type: ignore[arg-type]


def test_the_system_prompt_is_the_published_one() -> None:
    assert system_prompt(TaskType.NER) == (
        "You are a helpful online shopping assistant. Your task is named entity recognition."
    )
    assert TaskType.MULTIPLE_CHOICE.phrase == "multiple-choice question answering"


def test_prompts_are_cleaned_as_the_winners_cleaned_them() -> None:
    assert clean("  a  \nb \t\n c ") == "a\nb\n c"


@given(st.text(alphabet=st.sampled_from("<|im_endstr> \n"), max_size=40))
def test_no_data_can_forge_a_control_token(text: str) -> None:
    assert "<|im_end|>" not in clean(text) and "<|im_start|>" not in clean(text)


def test_a_prompt_with_a_missing_field_names_file_and_line() -> None:
    with pytest.raises(RecipeError, match=r"prompts/tasks/review_rating.j2:\d+: UndefinedError"):
        user_prompt("review_rating", wordings("review_rating")[0], {})


TASK = """{# title of a product #}
{% block ask %}
What is it?

{{ titel }}
{% endblock %}
{% block fails %}
{{ title }}
{{ title + 1 }}
{% endblock %}
"""


@pytest.mark.parametrize(
    ("wording", "said"),
    [
        ("ask", r"odd.j2:5: UndefinedError: 'titel' is undefined\n  -> did you mean 'title'\?"),
        ("fails", r"odd.j2:9: TypeError: can only concatenate str"),
    ],
)
def test_a_prompt_that_fails_is_told_with_its_own_line_and_the_nearest_field(
    wording: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "odd.j2").write_text(TASK)
    monkeypatch.setattr(prompts, "PROMPTS", tmp_path)
    prompts._template.cache_clear()
    with pytest.raises(RecipeError, match=said):
        user_prompt("odd", wording, {"title": "a fork", "options": []})
    prompts._template.cache_clear()


def test_a_broken_prompt_and_a_task_without_one_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.j2"
    broken.write_text("{% block a %}\n\n{% for x in y %}\n{% endblock %}\n")
    with pytest.raises(RecipeError, match=r"broken.j2:4: TemplateSyntaxError"):
        code.reads(broken)
    monkeypatch.setattr(task, "PROMPTS", tmp_path)
    with pytest.raises(RecipeError, match=r"tasks/title_brand.j2: the dataset(.|\n)*recipe new task title_brand"):
        task.load_task("title_brand")


def test_a_run_has_a_folder_for_each_set_of_overrides() -> None:
    assert Run.of("cpu", "v8", {}).name == "v8"
    assert Run.of("cpu", "v8", {"b": 2, "a": 1}).name == Run.of("cpu", "v8", {"a": 1, "b": 2}).name == "v8+a=1,b=2"
    odd = Run.of("cpu", "v8", {"base_model": "/a/b"}).name
    assert "/" not in odd and odd != Run.of("cpu", "v8", {"base_model": "/a/c"}).name


def test_progress_tells_rate_and_eta_and_a_pause_does_not_spoil_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("spine.progress.time.monotonic", lambda: now)
    meter = Meter("training", "step")
    for done, seconds in ((0, 0), (0, 60), (1, 2), (2, 2), (2, 30), (3, 2), (4, 2)):  # 60 and 30: held-out rows
        now += seconds
        meter.update(done, 10, "loss 1.0")
    assert "training 3/10 steps" not in capsys.readouterr().err.splitlines()[-1]
    now += 20
    meter.update(4, 10, "loss 0.9")
    assert capsys.readouterr().err == "training 4/10 steps  2.0 s/step, ETA 0:00:12  loss 0.9\n"


def test_the_rate_is_that_of_whole_batches_and_of_the_last_half_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """32 answers come at once, every 40 s; then three times as fast."""
    now = 100.0
    monkeypatch.setattr("spine.progress.time.monotonic", lambda: now)
    meter, rates = Meter("answering", "question"), []
    meter.update(0, 960)
    for batch, seconds in enumerate((40, 40, 13, 13, 13), start=1):
        for _ in range(seconds):
            now += 1
            meter.advance(32 * (batch - 1), 960, "7 tokens")
        meter.advance(32 * batch, 960, "8 tokens")
        rates.append(meter._rate(960).partition(",")[0])
    assert rates[:2] == ["1.2 s/question"] * 2 and rates[-1] == "2.5 questions/s"
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["answering 0/960 questions    ", "answering 0/960 questions    7 tokens"]
    assert len(lines) == 1 + 119 // 15


def test_many_small_steps_are_few_to_be_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("spine.progress.time.monotonic", lambda: now)
    meter = Meter("reading", "row")
    for done in range(20_000):
        now += 0.01
        meter.update(done, 20_000)
    assert len(meter._recent) <= 70 and "100.0 rows/s" in meter._rate(20_000)


def test_what_is_waited_for_is_said_only_where_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting("waiting for an answer"):
        pass
    assert capsys.readouterr().err == ""
    said = threading.Event()
    monkeypatch.setattr("spine.progress._PATIENT_SECONDS", 0.0)
    monkeypatch.setattr("spine.progress.print", lambda *words, **how: said.set(), raising=False)
    with waiting("waiting for an answer"):
        assert said.wait(60)


def test_clock() -> None:
    assert clock(3725.4) == "1:02:05"
