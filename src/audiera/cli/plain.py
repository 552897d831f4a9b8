"""Text of other people, made harmless for a terminal."""

import unicodedata

_KEPT = frozenset("\n\t")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS = frozenset("\u200c\u200d")


def plain(text: str) -> str:
    """The text without what would steer a terminal or turn around what stands beside it.

    Control and format characters become a replacement character; line ends and tabs stay, and so do the joiners that
    scripts and emoji are written with.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if unicodedata.category(each) in _HIDDEN and each not in _KEPT and each not in _JOINERS else each
        for each in text
    )
