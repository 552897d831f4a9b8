"""Words as people type them: without case, accents and, if need be, with one letter wrong."""

import unicodedata

_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))
MAX_WORDS = 12
"""Further words of a search are ignored."""


def fold(text: str) -> str:
    """The text in lower case, without accents, its words joined by single spaces."""
    bare = "".join(mark for mark in unicodedata.normalize("NFD", text.lower()) if mark not in _ACCENTS)
    composed = unicodedata.normalize("NFC", bare)
    return " ".join("".join(mark if mark.isalnum() else " " for mark in composed).split())


def words_of(text: str) -> list[str]:
    """The folded words of a text, each once, at most 12."""
    return list(dict.fromkeys(fold(text).split()))[:MAX_WORDS]


def is_near(one: str, other: str) -> bool:
    """Whether one letter added, left out, replaced, or swapped with its neighbor makes one word the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    left, right = one[start:], other[start:]
    return (
        left[1:] == right[1:]
        or left[1:] == right
        or left == right[1:]
        or (left[:2] == right[1::-1] and left[2:] == right[2:])
    )
