"""ECInstruct's one JSON file: ten tasks, three splits, eight settings, made from the shop's products.

Fields inside ``input`` follow the authors' notebooks (ninglab/eCeLLM, data_processing/): mind the colon in
the key "Product 1:", the bare review of Sentiment_Analysis, and the printed Python lists that are the input and
the options of Sequential_Recommendation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from dataset_builders.sample_shop.catalogue import EN, read
from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.esci import SHELF, draw_query, judged, stack
from dataset_builders.sample_shop.reviews import review_text
from dataset_builders.sample_shop.tables import Shop, Table, encode, json_array
from dataset_builders.sample_shop.words import Product, description, details, draw_product, price_text, title

T = TypeVar("T")
_MAIN = "IND_Diverse_Instruction"
# The settings other than the main one, and whether their rows carry an example.
_OTHERS = (
    ("IND_Single_Instruction", False),
    ("IND_Unseen_Instruction", False),
    (f"{_MAIN}_1-shot", True),
    ("OOD_Single_Instruction", False),
    ("OOD_Diverse_Instruction", False),
    ("OOD_Unseen_Instruction", False),
    ("OOD_Diverse_Instruction_1-shot", True),
)
_SPLITS = ("train",) * 8 + ("val", "test")
_WORDS = 25  # of a title in a session, cut as the authors cut it


class Parts(NamedTuple):
    """A row's own part; ``options`` None where the task has none."""

    input: str
    options: str | None
    output: str


def _any(shop: Shop, draw: Draw) -> Product:
    """A product that belongs to this row alone; ECInstruct shows no ids."""
    return draw_product(shop.catalogue, draw.pick(shop.catalogue.types), "", draw)


def _like(shop: Shop, kind: int, draw: Draw) -> Product:
    return draw_product(shop.catalogue, shop.catalogue.types[kind], "", draw)


def _title(shop: Shop, item: Product) -> str:
    return title(shop.catalogue, item, EN)


def answer_generation(shop: Shop, draw: Draw) -> Parts:
    question, document, answer = _asked(shop, draw, answerable=True)
    return Parts(encode({"question": question, "document": document}), None, answer)


def answerability(shop: Shop, draw: Draw) -> Parts:
    answerable = draw.chance(50)
    question, document, _ = _asked(shop, draw, answerable)
    return Parts(encode({"question": question, "document": document}), None, "yes" if answerable else "no")


def _asked(shop: Shop, draw: Draw, answerable: bool) -> tuple[str, list[str], str]:
    """A question on an aspect, snippets of reviews that do or do not speak of it, and what they say."""
    kind = draw.pick(shop.catalogue.types)
    asked, *others = draw.shuffled(kind.aspects)
    snippets = [draw.pick(draw.pick((aspect.good, aspect.bad))) for aspect in others]
    answer = draw.pick(draw.pick((asked.good, asked.bad)))
    if answerable:
        snippets[draw.below(len(snippets))] = answer
    question = draw.pick(wordings()["questions"]).format(aspect=asked.name, type=kind.one)
    return question, snippets, answer


def attribute_values(shop: Shop, draw: Draw) -> Parts:
    """Two or three attributes with the field they stand in; now and then one that is nowhere: "None"."""
    item, other = _any(shop, draw), _any(shop, draw)
    has = details(item)
    stands = {name: (value.lower(), "product feature") for name, value in has.items()}
    for name, word in (("Material", item.material), ("Color", item.color), ("Size", item.size)):
        if word is not None:
            stands[name] = (word[EN].lower(), "product title")
    told = {name: stands[name] for name in draw.some(list(stands), draw.between(2, 3))}
    missing = [name for name in details(other) if name not in has]
    if missing and draw.chance(20):
        told[missing[0]] = ("None", "None")
    texts = {
        "product title": _title(shop, item),
        "product description": description(shop.catalogue, item, EN),
        "product feature": ", ".join(f"{name}: {value}" for name, value in has.items()),
        "product price": f"${price_text(item.cents)}",
        "product brand": item.brand,
        "target attributes": " and ".join(told),
    }
    found = [{"attribute": name.lower(), "value": value, "source": at} for name, (value, at) in told.items()]
    return Parts(encode(texts), None, encode(found))


def _shelf(shop: Shop, draw: Draw) -> list[Product]:
    return stack(shop, draw, [""] * SHELF)


def product_classification(shop: Shop, draw: Draw) -> Parts:
    products = _shelf(shop, draw)
    query, item, relevance = draw_query(products, draw), draw.pick(products), wordings()["relevance"]
    return Parts(
        encode({"query": query.text(EN), "product title": _title(shop, item)}),
        encode(list(relevance.values())),
        relevance[query.label(item)],
    )


def product_matching(shop: Shop, draw: Draw) -> Parts:
    """The same product in two shops' words, or one that differs in brand, colour or author."""
    item, same = _any(shop, draw), draw.chance(50)
    other = item if same else _variant(shop, item, draw)
    ours = {
        "title": _title(shop, item),
        "description": description(shop.catalogue, item, EN),
        "manufacturer": item.brand,
        "price": price_text(item.cents),
    }
    name = _title(shop, other)
    if name.startswith(other.brand):
        name = f"{name.removeprefix(other.brand).strip()} by {other.brand}"
    # The second shop leaves things out: its rows went through pandas, whence NaN and "nan".
    theirs: dict[str, str | float] = {
        "title": name.lower(),
        "description": description(shop.catalogue, other, EN, 2).lower() if draw.chance(70) else float("nan"),
        "manufacturer": other.brand.lower() if draw.chance(70) else "nan",
        "price": price_text(other.cents + draw.below(200)),
    }
    return Parts(encode({"product 1": ours, "product 2": theirs}), None, "yes" if same else "no")


def _variant(shop: Shop, item: Product, draw: Draw) -> Product:
    """``item`` but for one thing that its title names."""
    if item.author is not None:
        return item._replace(author=_another(shop.catalogue.authors, item.author, draw))
    if item.color is not None and draw.chance(50):
        return item._replace(color=_another(item.kind.colors, item.color, draw))
    return item._replace(brand=_another(shop.catalogue.brands, item.brand, draw))


def _another(known: Sequence[T], but: T, draw: Draw) -> T:
    return draw.pick([one for one in known if one != but])


def product_relation(shop: Shop, draw: Draw) -> Parts:
    """Bought together: types that go together. Viewed together: one type, two makers. Alike: one maker."""
    item, relation = _any(shop, draw), draw.below(3)
    kind = draw.pick(item.kind.goes_with) if relation == 0 else item.kind.index
    other = _like(shop, kind, draw)
    brand, author = item.brand, item.author  # a book's title tells its author, not its brand
    if relation == 1:
        brand = _another(shop.catalogue.brands, brand, draw)
        author = author and _another(shop.catalogue.authors, author, draw)
    if relation:
        other = other._replace(brand=brand, author=author)
    return Parts(
        encode({"Product 1:": _title(shop, item), "Product 2:": _title(shop, other)}),
        encode(wordings()["relations"]),
        "ABC"[relation],
    )


def product_substitute(shop: Shop, draw: Draw) -> Parts:
    products = _shelf(shop, draw)
    query, wanted = draw_query(products, draw), draw.chance(50)
    fitting = [item for item in products if (query.label(item) == "S") == wanted] or products
    item = draw.pick(fitting)
    answer = "yes" if query.label(item) == "S" else "no"
    return Parts(encode({"query": query.text(EN), "product": _title(shop, item)}), None, answer)


def query_ranking(shop: Shop, draw: Draw) -> Parts:
    """Two to four products with different labels; the answer orders their letters, best first."""
    products = _shelf(shop, draw)
    query = draw_query(products, draw)
    best: dict[str, Product] = {}
    for item in draw.shuffled(judged(query, products, draw)):
        best.setdefault(query.label(item), item)
    labels = draw.some(list(best), draw.between(2, 4))
    order = sorted(range(len(labels)), key=lambda place: "ESCI".index(labels[place]))
    listed = [f"{'ABCD'[place]}: {_title(shop, best[label])}" for place, label in enumerate(labels)]
    return Parts(
        encode({"query": query.text(EN), "product list": listed}),
        None,
        ",".join("ABCD"[place] for place in order),
    )


def sentiment(shop: Shop, draw: Draw) -> Parts:
    stars = draw.between(1, 5)
    text = review_text(shop, _any(shop, draw), stars, draw)[0]
    options = wordings()["sentiments"]
    return Parts(text, encode(options), options[5 - stars])


def sequential_recommendation(shop: Shop, draw: Draw) -> Parts:
    """What somebody bought, oldest first, and 20 candidates; only one goes with the latest one's type, the others
    with nothing that was bought."""
    latest, types = _any(shop, draw), shop.catalogue.types
    wanted = (latest.kind.index, *latest.kind.goes_with)
    bought = [*(_like(shop, draw.pick(wanted), draw) for _ in range(draw.between(3, 7))), latest]
    near = {*wanted, *(index for place in wanted for index in types[place].goes_with)}
    strangers = [kind.index for kind in types if kind.index not in near and near.isdisjoint(kind.goes_with)]
    options = [_like(shop, draw.pick(strangers), draw) for _ in range(19)]
    place = draw.below(20)
    options.insert(place, _like(shop, draw.pick(latest.kind.goes_with), draw))
    history = [f"{_ordinal(number)}: {_line(shop, item)}" for number, item in enumerate(bought, start=1)]
    listed = [f"{chr(65 + number)}: {_line(shop, item)}" for number, item in enumerate(options)]
    return Parts(str(history), str(listed), chr(65 + place))


def _line(shop: Shop, item: Product) -> str:
    """Title, two levels of category and brand, cut after 25 words."""
    words = ". ".join((_title(shop, item), *item.kind.path[:2], item.brand + ".")).split(" ")
    return " ".join(words) if len(words) <= _WORDS else " ".join(words[:_WORDS]).strip(".") + "..."


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


TASKS: dict[str, Callable[[Shop, Draw], Parts]] = {
    "Answer_Generation": answer_generation,
    "Answerability_Prediction": answerability,
    "Attribute_Value_Extraction": attribute_values,
    "Multiclass_Product_Classification": product_classification,
    "Product_Matching": product_matching,
    "Product_Relation_Prediction": product_relation,
    "Product_Substitue_Identification": product_substitute,  # published with this spelling
    "Query_Product_Ranking": query_ranking,
    "Sentiment_Analysis": sentiment,
    "Sequential_Recommendation": sequential_recommendation,
}


def wordings() -> dict[str, Any]:
    return read("ecinstruct.yaml")


def _setting(draw: Draw) -> tuple[str, str, bool]:
    """(split, setting, whether there is an example). All settings but two are for tests only."""
    setting, shot = (_MAIN, False) if draw.chance(85) else draw.pick(_OTHERS)
    trained = setting in (_MAIN, _OTHERS[0][0])
    return draw.pick(_SPLITS) if trained else "test", setting, shot


def _instruction(task: str, setting: str, draw: Draw) -> str:
    known: tuple[str, ...] = wordings()["instructions"][task]
    if "Unseen" in setting:
        return known[-1]
    return known[0] if "Single" in setting else draw.pick(known[:-1])


def _rows(shop: Shop, total: int) -> Iterator[dict[str, str | None]]:
    names = tuple(TASKS)
    for number in range(total):
        task = names[number % len(names)]
        draw = Draw(shop.seed, "ecinstruct", number)
        split, setting, shot = _setting(draw)
        made = TASKS[task](shop, draw)
        shown = TASKS[task](shop, draw)._asdict().items() if shot else ()
        yield {
            "split": split,
            "task": task,
            "setting": setting,
            "instruction": _instruction(task, setting, draw),
            "input": made.input,
            "options": made.options,
            "output": made.output,
            "few_shot_example": encode({k: v for k, v in shown if v is not None}) if shot else None,
        }


def tables(shop: Shop) -> list[Table]:
    total = shop.count(2_500, least=len(TASKS))
    return [Table("ecinstruct/dataset.json", total, _rows(shop, total), json_array)]
