"""The pages of the documentation, taken apart: fenced blocks, links, headings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_NAMED = re.compile(r"`([\w./-]+)`:$")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`\n]*`")


class Block(NamedTuple):
    """A fenced block."""

    page: Path
    """Where it stands."""

    line: int
    """Line of its fence, from 1."""

    kind: str
    """The word behind the fence, such as ``console``."""

    text: str
    """What is inside."""

    name: str
    """The file it is said to be, when the line before ends with a name in backquotes and a colon."""

    def __str__(self) -> str:
        place = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page
        return f"{place}:{self.line}"


def pages() -> list[Path]:
    """Every page, the README first."""
    above = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
    return [*(ROOT / name for name in above), *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    at, before = 0, ""
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            before = lines[at].strip() or before
            at += 1
            continue
        start = at
        at += 1
        while lines[at].strip() != opening[2]:
            at += 1
        text = "\n".join(line.removeprefix(opening[1]) for line in lines[start + 1 : at])
        named = _NAMED.search(before)
        found.append(Block(page, start + 1, opening[3].strip(), text + "\n", named[1] if named else ""))
        at, before = at + 1, ""
    return found


def prose(page: Path) -> str:
    """A page without its blocks."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^( *)(`{3,}).*?^\1\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)


def plain_prose(page: Path) -> str:
    """A page without its blocks and without what stands in backquotes."""
    return _CODE.sub("", prose(page))


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links."""
    yield from _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*)$", prose(page), flags=re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(kept.replace(" ", "-"))
    return found


def rows(page: Path) -> list[tuple[str, ...]]:
    """The cells of every table's rows on a page; heads and rules are left out."""
    found: list[tuple[str, ...]] = []
    lines = prose(page).splitlines()
    for at, line in enumerate(lines):
        is_head = at + 1 < len(lines) and re.fullmatch(r"\|[\s:|-]+\|", lines[at + 1]) is not None
        if line.startswith("|") and not is_head and re.fullmatch(r"\|[\s:|-]+\|", line) is None:
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found.append(tuple(cell.strip().replace("\\|", "|") for cell in cells))
    return found
