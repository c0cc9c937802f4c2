"""MMLU: multiple choice questions whose right answer is computed or looked up, in headerless CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.tables import Shop, Table, write_csv

_FILE = Path(__file__).with_name("knowledge.yaml")
Asked = tuple[str, str, Sequence[str]]  # question, right answer, wrong answers (three or more)
Maker = Callable[[Shop, Draw], Asked]
Row = tuple[str, str, str, str, str, str]  # question, four choices, letter


@cache
def knowledge() -> dict[str, Any]:
    from ruamel.yaml import YAML

    loaded: dict[str, Any] = YAML(typ="safe").load(_FILE.read_text(encoding="utf-8"))
    return loaded


def _near(right: int, draw: Draw, *slips: int) -> list[str]:
    """Three wrong numbers: results of the usual ``slips`` first, then neighbours."""
    wrong = dict.fromkeys(slip for slip in slips if slip > 0 and slip != right)
    while len(wrong) < 3:
        other = right + draw.between(-9, 9)
        if other > 0 and other != right:
            wrong[other] = None
    return [str(number) for number in wrong]


def arithmetic(shop: Shop, draw: Draw) -> Asked:
    a_thing = _article(draw.pick(shop.catalogue.types).one).capitalize()
    count, price = draw.between(2, 12), draw.between(3, 60)
    turn = draw.below(4)
    if turn == 0:
        question = f"{a_thing} costs {price} dollars. How many dollars do {count} of them cost?"
        right, slips = count * price, [count + price, (count - 1) * price, (count + 1) * price]
    elif turn == 1:
        question = f"A shop had {count * price} parcels and sent off {price} of them. How many are left?"
        right, slips = (count - 1) * price, [count * price + price, count * price]
    elif turn == 2:
        question = f"{count * price} pieces are packed into packs of {count}. How many packs are there?"
        right, slips = price, [count, price + 1, price - 1]
    else:
        whole = 20 * draw.between(2, 30)
        question = f"{a_thing} costs {whole} dollars and is reduced by 25 percent. How many dollars is it now?"
        right, slips = whole * 3 // 4, [whole // 4, whole - 25, whole // 2]
    return question, str(right), _near(right, draw, *slips)


def conversion(shop: Shop, draw: Draw) -> Asked:
    large, small, factor = draw.pick(knowledge()["units"])
    count = draw.between(2, 40)
    if draw.chance(50):
        question, right = f"How many {small} are {count} {large}?", count * factor
        return question, str(right), _near(right, draw, count + factor, right * 10, count * factor // 2)
    question = f"How many {large} are {count * factor} {small}?"
    return question, str(count), _near(count, draw, count * 10, count + 1)


def geography(shop: Shop, draw: Draw) -> Asked:
    places = knowledge()["capitals"]
    country, capital, _, _ = draw.pick(places)
    if draw.chance(50):
        return (
            f"What is the capital of {country}?",
            capital,
            [place[1] for place in places if place[1] != capital],
        )
    return f"{capital} is the capital of which country?", country, [p[0] for p in places if p[0] != country]


def world(shop: Shop, draw: Draw) -> Asked:
    places = knowledge()["capitals"]
    country, _, continent, language = draw.pick(places)
    if draw.chance(50):
        rest = [other for other in knowledge()["continents"] if other != continent]
        return f"On which continent is {country}?", continent, rest
    rest = sorted({place[3] for place in places} - {language})
    return f"Which language is spoken by most people in {country}?", language, rest


def tool(shop: Shop, draw: Draw) -> Asked:
    """What a thing is, in the catalogue's words; or which thing it is, from those words without its name."""
    kind = draw.pick(shop.catalogue.types)
    others = shop.catalogue.strangers(kind)
    if draw.chance(50):
        return f"What is meant by '{kind.name}'?", kind.about, [other.about for other in others]
    words = kind.about.split(" ")
    verb = min(words.index(verb) for verb in ("is", "are", "connects") if verb in words)
    rest = " ".join(words[verb:])
    subject = "They" if words[verb] == "are" else "It"
    return f"Which product is meant? {subject} {rest}", kind.name, [other.name for other in others]


def antonym(shop: Shop, draw: Draw) -> Asked:
    pairs = knowledge()["antonyms"]
    word, opposite = draw.shuffled(draw.pick(pairs))
    return (
        f"Which word is the opposite of '{word}'?",
        opposite,
        [w for pair in pairs for w in pair if word not in pair],
    )


def event(shop: Shop, draw: Draw) -> Asked:
    events = knowledge()["events"]
    cause, effect, remedy = draw.pick(events)
    others = [other for other in events if other[0] != cause]
    turn = draw.below(3)
    if turn == 0:
        return f"{cause}. What most likely happens next?", effect, [other[1] for other in others]
    if turn == 1:
        return f"{effect}. Which event most likely caused this?", cause, [other[0] for other in others]
    return f"{cause}. What would prevent that {_inside(effect)}?", remedy, [other[2] for other in others]


def _article(thing: str) -> str:
    """With "a" or "an"; the catalogue has no silent h and no "use" but USB."""
    return f"{'an' if thing[0] in 'aeio' else 'a'} {thing}"


def _inside(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def passage(shop: Shop, draw: Draw) -> Asked:
    """A short text on several lines with a question on it, as those from reading tests."""
    names = [author.split(" ")[0] for author in shop.catalogue.authors]
    name, friend = draw.some(names, 2)
    kind, other = draw.some(shop.catalogue.types, 2)
    count, price = draw.between(2, 9), draw.between(11, 60)
    text = (
        f"{name} went to the market on a {draw.pick(('Monday', 'Friday', 'Saturday'))}.\n"
        f"{name} wanted {_article(kind.one)}, and paid {price} euros for it.\n"
        f"{friend} came along {count} minutes later, and bought {_article(other.one)}."
    )
    turn = draw.below(3)
    if turn == 0:
        return f"{text}\nWho bought the {kind.one}?", name, [friend, *(n for n in names if n not in text)]
    if turn == 1:
        return f"{text}\nHow many euros did the {kind.one} cost?", str(price), _near(price, draw, count)
    things = [stranger.one for stranger in shop.catalogue.strangers(other)]
    return f"{text}\nWhat did {friend} buy?", other.one, [kind.one, *things]


SUBJECTS: dict[str, tuple[Maker, ...]] = {
    "elementary_mathematics": (arithmetic,),
    "conceptual_physics": (conversion,),
    "high_school_geography": (geography,),
    "global_facts": (world,),
    "miscellaneous": (tool, antonym, event),
}
_AUXILIARY = (arithmetic, conversion, geography, world, tool, antonym, event, event, event, passage)


def _rows(shop: Shop, kind: str, total: int, makers: Sequence[Maker]) -> Iterator[Row]:
    for number in range(total):
        draw = Draw(shop.seed, kind, number)
        question, right, wrong = makers[number % len(makers)](shop, draw)
        choices = [right, *draw.some(list(dict.fromkeys(w for w in wrong if w != right)), 3)]
        a, b, c, d = order = draw.shuffled(choices)
        yield question, a, b, c, d, "ABCD"[order.index(right)]


def tables(shop: Shop) -> list[Table]:
    total = shop.count(600, least=len(_AUXILIARY))
    each = shop.count(300 // len(SUBJECTS), least=3)
    rows = _rows(shop, "auxiliary", total, _AUXILIARY)
    auxiliary = Table("mmlu/auxiliary_train.csv", total, rows, write_csv(None))
    tests = [
        Table(f"mmlu/test/{subject}_test.csv", each, _rows(shop, subject, each, makers), write_csv(None))
        for subject, makers in SUBJECTS.items()
    ]
    return [auxiliary, *tests]
