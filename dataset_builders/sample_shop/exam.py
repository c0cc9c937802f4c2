"""MMLU: multiple choice questions whose right answer is computed or looked up, in headerless CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from dataset_builders.sample_shop.catalogue import read
from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.tables import Shop, Table, csv_file

Asked = tuple[str, str, Sequence[str]]  # question, right answer, wrong answers (three or more)
Maker = Callable[[Shop, Draw], Asked]
Row = tuple[str, str, str, str, str, str]  # question, four choices, letter


def knowledge() -> dict[str, Any]:
    return read("knowledge.yaml")


def _near(right: int, draw: Draw, *slips: int) -> list[str]:
    """Three wrong numbers: results of the usual ``slips`` first, then neighbours."""
    wrong = dict.fromkeys(slip for slip in slips if slip > 0 and slip != right)
    while len(wrong) < 3:
        other = right + draw.between(-9, 9)
        if other > 0 and other != right:
            wrong[other] = None
    return [str(number) for number in wrong]


def person(draw: Draw) -> str:
    known = knowledge()
    name: str = draw.pick(known["people"]).format(draw.pick(known["names"]))
    return name


def arithmetic(shop: Shop, draw: Draw) -> Asked:
    a_thing, who = sentence(_article(draw.pick(shop.catalogue.types).one)), person(draw)
    day, place = draw.pick(knowledge()["days"]), draw.pick(knowledge()["places"])
    count, price = draw.between(2, 12), draw.between(3, 60)
    turn = draw.below(5)
    if turn == 0:
        question = f"{a_thing} costs {price} dollars. How many dollars does {who} pay for {count} of them {place}?"
        right, slips = count * price, [count + price, (count - 1) * price, (count + 1) * price]
    elif turn == 1:
        question = f"A shop had {count * price} parcels and sent off {price} of them {day}. How many are left?"
        right, slips = (count - 1) * price, [count * price + price, count * price]
    elif turn == 2:
        question = (
            f"{sentence(day)}, {who} packs {count * price} pieces into packs of {count}. How many packs are there?"
        )
        right, slips = price, [count, price + 1, price - 1]
    elif turn == 3:
        whole = 20 * draw.between(2, 30)
        question = f"{a_thing} costs {whole} dollars and is reduced by 25 percent {place}. How many dollars is it now?"
        right, slips = whole * 3 // 4, [whole // 4, whole - 25, whole // 2]
    else:
        question = f"{sentence(who)} has {price} coins, finds {count} more {place} and gives away 3. How many are left?"
        right, slips = price + count - 3, [price + count, price - count + 3, price + 3]
    return question, str(right), _near(right, draw, *slips)


def conversion(shop: Shop, draw: Draw) -> Asked:
    large, small, factor, stuff = draw.pick(knowledge()["units"])
    count, who, what = draw.between(2, 40), sentence(person(draw)), draw.pick(stuff)
    if draw.chance(50):
        question, right = f"{who} needs {count} {large} of {what}. How many {small} is that?", count * factor
        return question, str(right), _near(right, draw, count + factor, right * 10, count * factor // 2)
    question = f"{who} has {count * factor} {small} of {what}. How many {large} is that?"
    return question, str(count), _near(count, draw, count * 10, count + 1)


def geography(shop: Shop, draw: Draw) -> Asked:
    places = knowledge()["capitals"]
    (start, _, _, _), (country, capital, _, _) = draw.some(places, 2)
    cities = [place[1] for place in places if place[1] != capital]
    turn = draw.below(5)
    if turn == 0:
        return f"What is the capital of {country}?", capital, cities
    if turn < 3:
        asked = f"{sentence(person(draw))} leaves {start} for {country} to see its capital. Which city is that?"
        return asked, capital, cities
    asked = f"{sentence(person(draw))} travels from {start} to {capital}. In which country does the journey end?"
    return asked, country, [place[0] for place in places if place[0] != country]


def world(shop: Shop, draw: Draw) -> Asked:
    places = knowledge()["capitals"]
    (start, *_), (way, *_), (country, _, continent, language) = draw.some(places, 3)
    if draw.chance(50):
        asked = f"A parcel is sent from {start} by way of {way} to {country}. On which continent does it arrive?"
        return asked, continent, [other for other in knowledge()["continents"] if other != continent]
    asked = f"{sentence(person(draw))} moves from {start} to {country}. Which language do most people speak there?"
    return asked, language, sorted({place[3] for place in places} - {language})


def tool(shop: Shop, draw: Draw) -> Asked:
    """What a thing is, in the catalogue's words; or which thing it is, from those words without its name."""
    kind = draw.pick(shop.catalogue.types)
    others = shop.catalogue.strangers(kind)
    where = draw.pick(knowledge()["places"])
    if draw.chance(30):
        question = f"{sentence(person(draw))} sees '{kind.name}' on a list {where}. What is meant?"
        return question, kind.about, [other.about for other in others]
    words = kind.about.split(" ")
    verb = min(words.index(verb) for verb in ("is", "are", "connects") if verb in words)
    subject = "they" if words[verb] == "are" else "it"
    rest = " ".join(words[verb:])
    question = f"{sentence(person(draw))} is looking for something {where}: {subject} {rest} Which product is meant?"
    return question, kind.name, [other.name for other in others]


def antonym(shop: Shop, draw: Draw) -> Asked:
    pairs = knowledge()["antonyms"]
    word, opposite = draw.shuffled(draw.pick(pairs))
    thing = draw.pick(shop.catalogue.types).one
    return (
        f"{sentence(person(draw))} calls the {thing} '{word}'. Which word is the opposite of '{word}'?",
        opposite,
        [w for pair in pairs for w in pair if word not in pair],
    )


Family = tuple[str, str, str, Sequence[str]]  # cause, effect, remedy, things


@cache
def _families(group: str) -> Sequence[Family]:
    """The families of events of all groups but this one."""
    return [family for other, families in knowledge()["events"].items() if other != group for family in families]


def event(shop: Shop, draw: Draw) -> Asked:
    """The thing is named in the question only: which answer is right, follows from what happens to things."""
    groups = knowledge()["events"]
    group = draw.pick(tuple(groups))
    family, who = draw.pick(groups[group]), person(draw)
    place = draw.below(3)  # of the answer in the family
    thing = draw.pick(family[3])
    cause, effect = (text.format(name=who, x=thing) for text in family[:2])

    def choice(of: Family, x: str) -> str:
        return sentence(str(of[place]).replace("the {x}", "it").format(name=who, x=x))

    wrong = [choice(other, draw.pick(other[3])) for other in draw.some(_families(group), 3)]
    return sentence(draw.pick(knowledge()["stems"][place]).format(cause, effect)), choice(family, thing), wrong


def passage(shop: Shop, draw: Draw) -> Asked:
    """A short story on several lines with a question on it, as in a reading test."""
    told, places, days = (knowledge()[name] for name in ("passages", "places", "days"))
    names = draw.some(knowledge()["names"], 5)
    things = [_article(kind.one) for kind in draw.some(shop.catalogue.types, 5)]
    price, count = draw.between(11, 60), draw.between(2, 20)
    # What can be asked for, the right answer first.
    choices: dict[str, list[str]] = {
        "who": names,
        "thing": things,
        "other": [things[1], things[0], *things[2:]],
        "price": [str(price), *_near(price, draw, count)],
        "count": [str(count), *_near(count, draw, price)],
        **{name: draw.some(told[f"{name}s"], 4) for name in ("way", "snack")},
        "day": draw.some(days, 4),
        "place": draw.some(places, 4),
    }
    slots = {name: right for name, (right, *_) in choices.items()}
    slots |= {"a": names[0], "b": names[1]}
    lines = [draw.pick(told[part]).format(**slots) for part in ("openings", "firsts", "seconds", "ends")]
    asked = draw.pick(tuple(told["questions"]))
    lines.append(draw.pick(told["questions"][asked]).format(**slots))
    right, *wrong = choices[asked]
    return "\n".join(lines), right, wrong


def _article(thing: str) -> str:
    """With "a" or "an"; the catalogue has no silent h and no "use" but USB."""
    return f"{'an' if thing[0] in 'aeio' else 'a'} {thing}"


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]


SUBJECTS: dict[str, tuple[Maker, ...]] = {
    "elementary_mathematics": (arithmetic,),
    "conceptual_physics": (conversion,),
    "high_school_geography": (geography,),
    "global_facts": (world,),
    "miscellaneous": (tool, antonym, event),
}
# Questions with much to vary come often, so that a large shop does not repeat itself.
_OFTEN = (event, passage, event, passage, event, arithmetic, event)
_AUXILIARY = (*_OFTEN, conversion, *_OFTEN, geography, world, passage, tool, passage, antonym)


def _rows(shop: Shop, kind: str, total: int, makers: Sequence[Maker]) -> Iterator[Row]:
    for number in range(total):
        draw = Draw(shop.seed, kind, number)
        question, right, wrong = makers[number % len(makers)](shop, draw)
        choices = [right, *draw.some(list(dict.fromkeys(w for w in wrong if w != right)), 3)]
        a, b, c, d = order = draw.shuffled(choices)
        yield question, a, b, c, d, "ABCD"[order.index(right)]


def tables(shop: Shop) -> list[Table]:
    total = shop.count(750, least=len(_AUXILIARY))
    rows = _rows(shop, "auxiliary", total, _AUXILIARY)
    auxiliary = Table("mmlu/auxiliary_train.csv", total, rows, csv_file)
    exams = []
    for part, at_scale_1, least in (("test", 300, 3), ("val", 40, 2), ("dev", 10, 1)):
        each = shop.count(at_scale_1 // len(SUBJECTS), least)
        for subject, makers in SUBJECTS.items():
            asked = _rows(shop, subject if part == "test" else f"{part} {subject}", each, makers)
            exams.append(Table(f"mmlu/{part}/{subject}_{part}.csv", each, asked, csv_file))
    return [auxiliary, *exams]
