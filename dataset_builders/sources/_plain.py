"""Texts of a shop without the markup and the noise that they were published with: in one place, for every listing and
every review. Lines stay lines, since bullet points are one a line.
"""

from __future__ import annotations

import html
import re
from typing import Any

from dataset_builders.sources._files import text

# "[[VIDEOID:b3d4ae]]", "[[ASIN:B0EXAMPLE1 Bamboo Tray]]": what stood there was no word of the writer's.
_EMBEDDED = re.compile(r"\[\[[A-Z][A-Za-z]*:[^\[\]]*\]\]")
# Only tags that occur in listings: `a <b and c> d` is no markup. Those that end a line in a browser end one here.
_HIDDEN = re.compile(r"<(script|style)\b[^>]*>.{0,5000}?</\1\s*>|<!--.{0,5000}?-->", re.IGNORECASE | re.DOTALL)
_LINE = re.compile(
    r"<(?:br|/?(?:p|div|li|[ou]l|h[1-6]|t[rhd]|table|tbody|hr|center|blockquote|section|article|html|body|head|title))"
    r"\b[^<>]{0,500}>|<!doctype[^<>]{0,200}>",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"</?(?:a|b|big|em|font|i|iframe|img|input|label|link|meta|small|source|span|strong|su[bp]|u|video)"
    r"(?:\s[^<>=]{0,40}=[^<>]{0,500}|\s*/?)>",
    re.IGNORECASE,
)
# Control characters but the blanks among them, soft hyphens, what has no width or turns the direction, and what stands
# for a letter that was lost.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffd]"
)


def plain(value: Any) -> str:
    """A text column as ``text`` reads it, as a reader sees it.

    >>> plain("[[VIDEOID:b3d4ae]]It&#39;s light.<br />It <b>fits</b>.")
    "It's light.\\nIt fits."
    """
    found = value.strip() if type(value) is str else text(value)
    if "<" not in found and "&" not in found and "[[" not in found:  # most texts, so these looks are what it costs
        if found.isprintable() or found.replace("\n", "").isprintable():
            return found
        return _UNSEEN.sub("", found).strip()
    for _ in range(2):  # some are escaped twice
        found = html.unescape(found) if "&" in found else found
    if "[[" in found:
        found = _EMBEDDED.sub("", found)
    if "<" in found and "<" in (found := found.replace("<br />", "\n")):  # the one tag of nearly all reviews
        found = _TAG.sub("", _LINE.sub("\n", _HIDDEN.sub(" ", found)))
    return _UNSEEN.sub("", found).strip()
