"""Alpaca-Cleaned: general instructions with right answers; ``input`` is empty where none is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.exam import knowledge, person, sentence
from dataset_builders.sample_shop.tables import Shop, Table, json_array

Row = tuple[str, str, str]  # instruction, input, output
_NUMBERS = {2: "two", 3: "three", 4: "four"}


def _sentence(shop: Shop, draw: Draw) -> str:
    """A sentence of the shop, or what somebody does."""
    if draw.chance(25):
        kind = draw.pick(shop.catalogue.types)
        aspect = draw.pick(kind.aspects)
        return draw.pick((kind.about, *aspect.good, *aspect.bad, *kind.openers[3]))
    cause, _, _, things = draw.pick(draw.pick(tuple(knowledge()["events"].values())))
    return sentence(cause.format(name=person(draw), x=draw.pick(things))) + "."


def upper(shop: Shop, draw: Draw) -> Row:
    text = _sentence(shop, draw)
    instruction = draw.pick(("Rewrite the sentence in upper case.", "Write this in capital letters."))
    return instruction, text, text.upper()


def count_words(shop: Shop, draw: Draw) -> Row:
    text = _sentence(shop, draw)
    instruction = draw.pick(("How many words are in the sentence?", "Count the words of the sentence."))
    return instruction, text, str(len(text.split()))


def define(shop: Shop, draw: Draw) -> Row:
    kind, who = draw.pick(shop.catalogue.types), person(draw)
    ask = draw.pick(("Explain to {} in one sentence what is meant by '{}'.", "Define a product type for {}: '{}'."))
    return ask.format(who, kind.name), "", kind.about


def convert(shop: Shop, draw: Draw) -> Row:
    large, small, factor, stuff = draw.pick(knowledge()["units"])
    count, what = draw.between(2, 60), draw.pick(stuff)
    answer = f"{count} {large} of {what} are {count * factor} {small} of {what}."
    return f"Convert {count} {large} of {what} to {small}.", "", answer


def name_some(shop: Shop, draw: Draw) -> Row:
    lists = [(what, examples[: draw.between(2, 4)]) for what, examples in draw.some(knowledge()["lists"], 3)]
    first, second, third = (f"{_NUMBERS[len(examples)]} {what}" for what, examples in lists)
    named = [example for _, examples in lists for example in examples]
    lines = [f"{number}. {example}" for number, example in enumerate(named, start=1)]
    return f"Name {first}, {second} and {third}.", "", "\n".join(lines)


def products_of(shop: Shop, draw: Draw) -> Row:
    category = draw.pick(shop.catalogue.categories)
    names = [kind.name for kind in shop.catalogue.types_of(category)][: draw.between(2, 4)]
    title = shop.catalogue.titles[category]
    instruction = f"{sentence(person(draw))} wants {_NUMBERS[len(names)]} products of the category {title}. Name some."
    return instruction, "", ", ".join(names)


def reply(shop: Shop, draw: Draw) -> Row:
    situation, answer = draw.pick(knowledge()["replies"])
    thing, name = draw.pick(shop.catalogue.types).one, draw.pick(knowledge()["names"])
    instruction = f"Write {name}, a customer, a short and polite reply of a shop for this situation."
    return instruction, situation.format(type=thing), f"Dear {name}, {answer[0].lower()}{answer[1:].format(type=thing)}"


def opposite(shop: Shop, draw: Draw) -> Row:
    word, other = draw.shuffled(draw.pick(knowledge()["antonyms"]))
    thing = draw.pick(shop.catalogue.types).one
    return f"Say the opposite about the {thing}.", f"The {thing} is {word}.", f"The {thing} is {other}."


def translate(shop: Shop, draw: Draw) -> Row:
    kind = draw.pick([kind for kind in shop.catalogue.types if kind.colors])
    color, size = draw.pick(kind.colors), draw.between(2, 20)
    lang, language = draw.pick(((1, "German"), (2, "Spanish"), (3, "French"), (4, "Italian"), (5, "Japanese")))
    given, output = (f"{size} x {kind.names[at]}, {color[at]}" for at in (0, lang))
    return f"Translate the line of an order into {language}.", given, output


def alphabetical(shop: Shop, draw: Draw) -> Row:
    words = [kind.name for kind in draw.some(shop.catalogue.types, draw.between(3, 5))]
    return "Sort the list in alphabetical order.", ", ".join(words), ", ".join(sorted(words, key=str.lower))


def add(shop: Shop, draw: Draw) -> Row:
    a, b = draw.between(10, 999), draw.between(10, 999)
    return f"What is {a} plus {b}?", "", str(a + b)


def capital(shop: Shop, draw: Draw) -> Row:
    country, city, _, _ = draw.pick(knowledge()["capitals"])
    instruction = f"Tell {person(draw)} the capital of this country."
    return instruction, country, f"The capital of {country} is {city}."


def mood(shop: Shop, draw: Draw) -> Row:
    kind = draw.pick(shop.catalogue.types)
    aspect = draw.pick(kind.aspects)
    good = draw.chance(50)
    text = f"{sentence(person(draw))} on the {kind.one}: {draw.pick(aspect.good if good else aspect.bad)}"
    return "Is this remark positive or negative?", text, "Positive" if good else "Negative"


# Those with much to vary come often, so that a large shop does not repeat itself.
_OFTEN = (upper, count_words, alphabetical, name_some, translate, mood, reply)
_SELDOM = (define, convert, products_of, opposite, add, capital)
_MAKERS: tuple[Callable[[Shop, Draw], Row], ...] = (*_OFTEN, *_SELDOM, *_OFTEN)


def _rows(shop: Shop, total: int) -> Iterator[dict[str, str]]:
    for number in range(total):
        make = _MAKERS[number % len(_MAKERS)]
        instruction, given, output = make(shop, Draw(shop.seed, "alpaca", number))
        yield {"instruction": instruction, "input": given, "output": output}


def tables(shop: Shop) -> list[Table]:
    total = shop.count(400, least=len(_MAKERS))
    return [Table("alpaca/alpaca_data_cleaned.json", total, _rows(shop, total), json_array)]
