"""Words that shoppers use for colours and materials, English and Spanish: those that hardly mean anything else."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COLORS = _words(
    """beige black blue brown burgundy fuchsia gold gray green grey ivory khaki magenta maroon navy orange pink purple
    red silver tan teal turquoise violet white yellow
    amarilla amarillo azul blanca blanco dorada dorado granate gris lila marrón morada morado naranja negra negro
    plateada plateado roja rojo rosa turquesa verde violeta"""
)
# They make a colour more exact, and say nothing alone.
_SHADES = _words(
    """bright dark deep forest hot light matte midnight neon olive pale pastel rose royal sky
    claro clara cielo marino mate oscuro oscura"""
)
_SHADED = "|".join(sorted(COLORS | _SHADES))
COLOR_RUN = re.compile(rf"(?<!\S)(?:{_SHADED})(?: (?:{_SHADED}))*(?!\S)")

_MATERIALS = (
    *("aluminum", "aluminium", "bamboo", "brass", "cast iron", "ceramic", "cotton", "denim", "faux fur"),
    *("faux leather", "fleece", "leather", "microfiber", "nylon", "plastic", "polyester", "porcelain", "rubber"),
    *("satin", "silicone", "silk", "stainless steel", "steel", "sterling silver", "suede", "titanium", "velvet"),
    *("wood", "wooden", "wool"),
    *("acero", "acero inoxidable", "algodón", "aluminio", "bambú", "caucho", "cerámica", "corcho", "cuero", "fieltro"),
    *("forro polar", "hierro fundido", "lana", "lona", "madera", "nailon", "plástico", "poliéster", "seda", "silicona"),
    *("terciopelo", "vidrio"),
)
# These are things as well, where they end a phrase: a wine glass, a painting on canvas.
_BEFORE_A_NOUN = tuple(rf"{word}(?= \w)" for word in ("canvas", "cork", "felt", "glass", "linen", "vinyl"))
# The longest first: stainless steel before steel.
_PHRASES = "|".join([*sorted(_MATERIALS, key=lambda word: (-len(word), word)), *_BEFORE_A_NOUN])
MATERIAL = re.compile(rf"(?<!\S)(?:{_PHRASES})(?!\S)")
# What is for a material need not be made of it.
TREATMENTS = _words(
    """adhesive care cleaner cleaning conditioner cutter drill dye filler glue paint polish protector repair saw screws
    stain wax broca cera cola limpiador limpieza pegamento pintura tinte tornillos"""
)

# Whom a thing is for, how large or how good it is: no part of its type.
NO_TYPE = _words(
    """adult adults baby best big boys cheap child children christmas girls gift kids ladies large long medium men mens
    mini new pack plus sale short small teen toddler top women womens xl xxl and for with without
    barato bebé grande hombre hombres mejor mujer mujeres niña niñas niño niños nuevo oferta pequeño con para por sin y
    """
)


def is_color(value: str) -> bool:
    """Whether a column's value is the name of a colour and no more: not ``2 Pack``, not ``Black Leather``."""
    words = value.lower().split()
    return len(words) <= 3 and (COLORS | _SHADES).issuperset(words) and not COLORS.isdisjoint(words)
