"""Alpaca-Cleaned: general instructions with right answers; ``input`` is empty where none is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.exam import knowledge
from dataset_builders.sample_shop.tables import Shop, Table, write_json_array

Row = tuple[str, str, str]  # instruction, input, output


def _sentence(shop: Shop, draw: Draw) -> str:
    """A sentence of the shop."""
    kind = draw.pick(shop.catalogue.types)
    aspect = draw.pick(kind.aspects)
    return draw.pick((kind.about, *aspect.good, *aspect.bad, *kind.openers[3]))


def upper(shop: Shop, draw: Draw) -> Row:
    text = _sentence(shop, draw)
    instruction = draw.pick(("Rewrite the sentence in upper case.", "Write this in capital letters."))
    return instruction, text, text.upper()


def count_words(shop: Shop, draw: Draw) -> Row:
    text = _sentence(shop, draw)
    instruction = draw.pick(("How many words are in the sentence?", "Count the words of the sentence."))
    return instruction, text, str(len(text.split()))


def define(shop: Shop, draw: Draw) -> Row:
    kind = draw.pick(shop.catalogue.types)
    ask = draw.pick(("Explain in one sentence what is meant by '{}'.", "Define the product type '{}'."))
    return ask.format(kind.name), "", kind.about


def convert(shop: Shop, draw: Draw) -> Row:
    large, small, factor = draw.pick(knowledge()["units"])
    count = draw.between(2, 60)
    return f"Convert {count} {large} to {small}.", "", f"{count} {large} are {count * factor} {small}."


def name_some(shop: Shop, draw: Draw) -> Row:
    what, examples = draw.pick(knowledge()["lists"])
    count = draw.between(2, 4)
    word = {2: "two", 3: "three", 4: "four"}[count]
    numbered = [f"{number}. {example}" for number, example in enumerate(examples[:count], start=1)]
    return f"Name {word} {what}.", "", "\n".join(numbered)


def products_of(shop: Shop, draw: Draw) -> Row:
    category = draw.pick(shop.catalogue.categories)
    names = [kind.name for kind in shop.catalogue.types_of(category)][:3]
    return f"Name products of the category {shop.catalogue.titles[category]}.", "", ", ".join(names)


def reply(shop: Shop, draw: Draw) -> Row:
    situation, answer = draw.pick(knowledge()["replies"])
    thing = draw.pick(shop.catalogue.types).one
    instruction = "Write a short, polite reply of a shop for this situation."
    return instruction, situation.format(type=thing), answer.format(type=thing)


def opposite(shop: Shop, draw: Draw) -> Row:
    word, other = draw.shuffled(draw.pick(knowledge()["antonyms"]))
    return "Give the opposite of the word.", word, other


def translate(shop: Shop, draw: Draw) -> Row:
    kind, (lang, language) = (
        draw.pick(shop.catalogue.types),
        draw.pick(((1, "German"), (2, "Spanish"), (3, "French"), (4, "Italian"), (5, "Japanese"))),
    )
    return f"Translate the name of the product into {language}.", kind.names[0], kind.names[lang]


def alphabetical(shop: Shop, draw: Draw) -> Row:
    words = [kind.name for kind in draw.some(shop.catalogue.types, draw.between(3, 5))]
    return "Sort the list in alphabetical order.", ", ".join(words), ", ".join(sorted(words, key=str.lower))


def add(shop: Shop, draw: Draw) -> Row:
    a, b = draw.between(10, 99), draw.between(10, 99)
    return f"What is {a} plus {b}?", "", str(a + b)


def capital(shop: Shop, draw: Draw) -> Row:
    country, city, _, _ = draw.pick(knowledge()["capitals"])
    return "What is the capital of this country?", country, f"The capital of {country} is {city}."


def mood(shop: Shop, draw: Draw) -> Row:
    aspect = draw.pick(draw.pick(shop.catalogue.types).aspects)
    good = draw.chance(50)
    text = draw.pick(aspect.good if good else aspect.bad)
    return "Is this remark positive or negative?", text, "Positive" if good else "Negative"


_MAKERS: tuple[Callable[[Shop, Draw], Row], ...] = (
    upper,
    count_words,
    define,
    convert,
    name_some,
    products_of,
    reply,
    opposite,
    translate,
    alphabetical,
    add,
    capital,
    mood,
)


def _rows(shop: Shop, total: int) -> Iterator[dict[str, str]]:
    for number in range(total):
        make = _MAKERS[number % len(_MAKERS)]
        instruction, given, output = make(shop, Draw(shop.seed, "alpaca", number))
        yield {"instruction": instruction, "input": given, "output": output}


def tables(shop: Shop) -> list[Table]:
    total = shop.count(400, least=len(_MAKERS))
    return [Table("alpaca/alpaca_data_cleaned.json", total, _rows(shop, total), write_json_array)]
