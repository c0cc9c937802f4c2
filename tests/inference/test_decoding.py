"""Decoding rules: what they allow is what the question allows, whatever the tokenizer; they survive JSON."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from inference.answering.decoding import Choice, Rule, Spans, cut, rule_from_json
from inference.answering.rules import Mode, Rules
from inference.scoring.parsers import parse
from spine.asked import Asked, asked
from spine.chat import ChatTokenizer
from spine.task_types import TaskType, Truth, answer_text
from tests.conftest import CHATML

END = 0


def bytes_tokenizer(merges: list[tuple[str, str]], *, digits_apart: bool) -> Tokenizer:
    """A byte-level tokenizer as Qwen2's (each digit a token) or Llama 3's (`10` is one), with ``merges``."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|im_end|>": 0, "<|im_start|>": 1}
    for token in [*letters, *("".join(merge) for merge in merges)]:
        vocabulary.setdefault(token, len(vocabulary))
    made = Tokenizer(models.BPE(vocabulary, merges))
    parts = [pre_tokenizers.Digits(individual_digits=True)] if digits_apart else []
    made.pre_tokenizer = pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=False)])  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    made.add_special_tokens(["<|im_end|>", "<|im_start|>"])
    return made


TOKENIZERS = {
    "digits apart": bytes_tokenizer([("o", "n"), ("Ġ", "o")], digits_apart=True),
    "numbers joined": bytes_tokenizer([("1", "0"), ("1", "2"), ("1", "1"), ("1", "5")], digits_apart=False),
}


def rules_of(tokenizer: str, folder: Path) -> Rules:
    """Rules in the tokens of one of ``TOKENIZERS``, which ``folder`` then holds."""
    TOKENIZERS[tokenizer].save(str(folder / "tokenizer.json"))
    config = {"chat_template": CHATML, "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return Rules.of(str(folder), ChatTokenizer.load(str(folder)))


def writable(rules: Rules, rule: Rule, kind: TaskType, truth: Truth) -> bool:
    """Whether ``rule`` lets a model write the answer that is right; of retrieval, its first number and then any."""
    if rule.choice is None:
        return True  # tokens are favoured at most
    text = answer_text(kind, truth)
    written = rules._behind("", text.split(",")[0] if kind is TaskType.RETRIEVAL else text)
    ends = rule.step(written).allowed or frozenset()
    return all(token in (rule.step(written[:at]).allowed or ()) for at, token in enumerate(written)) and (
        kind is TaskType.RETRIEVAL or bool(ends & {*rule.end})
    )


@pytest.fixture(params=TOKENIZERS)
def rules(request: pytest.FixtureRequest, tmp_path: Path) -> Rules:
    return rules_of(request.param, tmp_path)


def every_answer(rules: Rules, rule: Rule) -> set[str]:
    """All texts that a rule allows, by trying every allowed token everywhere."""
    found, open_ends = set(), [()]
    while open_ends:
        written: tuple[int, ...] = open_ends.pop()
        allowed = rule.step(written).allowed
        assert allowed
        for token in allowed:
            if token in rule.end:
                found.add(rules.chat.tokenizer.decode(list(written)))
            else:
                assert len(written) < rule.max_new_tokens
                open_ends.append((*written, token))
    return found


def test_one_of_the_listed_options(rules: Rules) -> None:
    for listed in [(0, 1, 2, 3), (0, 1, 3), (1, 2, 3, 4, 5), tuple(range(1, 13))]:
        rule = rules.rule(Mode.EXACT, Asked(TaskType.MULTIPLE_CHOICE, listed, 1), "")
        assert every_answer(rules, rule) == {str(number) for number in listed}
    words = rules.rule(Mode.EXACT, Asked(TaskType.MULTIPLE_CHOICE, (), 1, ("yes", "no")), "")
    assert every_answer(rules, words) == {"yes", "no"}


def test_what_lets_choose_in_an_unknown_way_is_free(rules: Rules) -> None:
    letters = asked("Which one is a fruit?\nA) a fig\nB) a fork\nAnswer:", True)
    assert rules.rule(Mode.EXACT, letters, "").is_free and rules.options(letters) == {}


def test_as_many_distinct_numbers_as_asked(rules: Rules) -> None:
    rule = rules.rule(Mode.EXACT, Asked(TaskType.RETRIEVAL, (1, 2, 10, 11), 2), "")
    assert every_answer(rules, rule) == {f"{a},{b}" for a in (1, 2, 10, 11) for b in (1, 2, 10, 11) if a != b}
    as_many_as_fit = rules.rule(Mode.EXACT, Asked(TaskType.RETRIEVAL, (0, 1), None), "")
    assert every_answer(rules, as_many_as_fit) == {"0", "1", "0,1", "1,0"}


def test_a_permutation(rules: Rules) -> None:
    rule = rules.rule(Mode.EXACT, Asked(TaskType.RANKING, (1, 2, 3), 3), "")
    answers = every_answer(rules, rule)
    assert len(answers) == 6 and all(sorted(parse(TaskType.RANKING, text)) == [1, 2, 3] for text in answers)  # type: ignore[arg-type]


def test_what_a_model_would_write_is_what_is_allowed(rules: Rules) -> None:
    """The tokens of an answer as they stand in training rows."""
    rule = rules.rule(Mode.EXACT, Asked(TaskType.RETRIEVAL, tuple(range(1, 16)), 3), "")
    for answer in ("1,10,11", "15,1,2", "10,12,15"):
        before = rules.chat.tokenizer.encode("assistant\n", add_special_tokens=False).ids
        ids = rules.chat.tokenizer.encode(f"assistant\n{answer}", add_special_tokens=False).ids[len(before) :]
        for at, token in enumerate(ids):
            assert token in (rule.step(ids[:at]).allowed or ())
        assert rule.step(ids).allowed == {END}


def test_phrases_of_the_text_are_favoured(rules: Rules) -> None:
    prompt = "Extract the entity type 'colour'.\nQuery: (oak) bread board on 12 legs\nOutput:"
    found = asked(prompt, False)
    rule = rules.rule(Mode.EXACT, found, prompt)
    assert found.type is TaskType.NER and rule.spans and rule.choice is None

    def favoured(written: str) -> set[int]:
        return set(rule.step(rules.chat.tokenizer.encode(written, add_special_tokens=False).ids).bias)

    def first(text: str) -> int:
        return rules.chat.tokenizer.encode(text, add_special_tokens=False).ids[0]

    assert {first("oak"), first("bread"), first(" legs")} <= favoured("") and END not in favoured("")
    assert {first(" board"), first(","), END} <= favoured("bread") and first("x") not in favoured("bread")
    assert first(" bread") in favoured("legs, oak") and first("e") in favoured("br") and END not in favoured("br")
    assert favoured("zebra") == set()
    assert rule.step([]).allowed is None


def test_the_winners_biases(rules: Rules) -> None:
    def biased(kind: TaskType, prompt: str = "") -> dict[str, float]:
        rule = rules.rule(Mode.WINNERS, Asked(kind), prompt)
        return {rules.chat.tokenizer.decode([token]): bias for token, bias in rule.step([]).bias.items()}

    choice = biased(TaskType.MULTIPLE_CHOICE)
    assert {text for text, bias in choice.items() if bias == 100} == set("012345")
    retrieval = biased(TaskType.RETRIEVAL)
    assert {*"0123456789", ","} <= {text for text, bias in retrieval.items() if bias == 100}
    assert {text for text, bias in biased(TaskType.NER, "ab").items()} == {"a", "b", ",", ""}
    assert biased(TaskType.GENERATION) == {}  # here `None` is four tokens
    lengths = [rules.rule(Mode.WINNERS, Asked(kind), "").max_new_tokens for kind in TaskType]
    assert lengths == [1, 8, 9, 15, 50]


@pytest.mark.parametrize("mode", Mode)
def test_rules_survive_json(rules: Rules, mode: Mode) -> None:
    prompt = "Which phrases of the query are of the entity type 'size'?\nQuery: big cap\nOutput:"
    for kind in TaskType:
        rule = rules.rule(mode, Asked(kind, (1, 2, 3), 3), prompt)
        again = rule_from_json(rule.to_json())
        assert again == rule and again.step([]) == rule.step([])


pieces = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@given(st.lists(pieces, min_size=1, max_size=4, unique=True), st.integers(1, 3), st.randoms(use_true_random=False))
def test_no_way_through_a_choice_is_a_dead_end(items: list[tuple[int, ...]], most: int, chance: random.Random) -> None:
    most = min(most, len(items))
    later = tuple((9, *item) for item in items)
    rule = Rule(99, (END,), choice=Choice(tuple(items), later, most, most))
    written: list[int] = []
    for _ in range(rule.choice.longest + 1):  # type: ignore[union-attr]
        token = chance.choice(sorted(rule.step(written).allowed or ()))
        if token == END:
            break
        written.append(token)
    assert token == END
    spelled = [tuple(map(int, part.split())) for part in " ".join(map(str, written)).split(" 9 ")]
    assert len(spelled) == most == len(set(spelled)) and set(spelled) <= set(items)


def test_a_span_ends_where_the_text_ends() -> None:
    spans = Spans(bare=((1,), (2,)), spaced=((11,), (12,)), separator=(9,), boost=1.0)
    assert set(spans.favoured((), frozenset({END}))) == {1, 2, 11, 12}
    assert set(spans.favoured((1,), frozenset({END}))) == {12, 9, END}
    assert set(spans.favoured((1, 12), frozenset({END}))) == {9, END}
    assert set(spans.favoured((1, 12, 9), frozenset({END}))) == {1, 2, 11, 12}
    assert set(spans.favoured((2, 12), frozenset({END}))) == set()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("A short one. And more.", "A short one. And more."),
        ("One two three four. " * 5, "One two three four. One two three four. One two three four. One two three four."),
        ("word " * 20, ("word " * 20).rstrip()),
        ("It weighs 3.5 kg and costs more than ten others of its kind do today! Really. No.",
         "It weighs 3.5 kg and costs more than ten others of its kind do today! Really."),
        ("", ""),
    ],
)  # fmt: skip
def test_an_answer_ends_with_the_sentence_that_passes_15_words(text: str, kept: str) -> None:
    assert cut(text, 15) == kept
    assert cut(text, None) == text
