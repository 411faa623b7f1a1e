"""A report in sections: a title, a table and sentences about it; as text for a terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitbench.report import markdown, table
from vitbench.report.screen import Screen
from vitbench.report.sheet import Sheet
from vitbench.text import clean


@dataclass(frozen=True)
class Section:
    """A part of a report. `picture` is drawn in letters, for a terminal.

    `level` is 2 for a section inside of the one before it.
    """

    title: str | None
    page: Sheet | None = None
    sentences: Sequence[str] = ()
    picture: str | None = None
    level: int = 1


def as_text(sections: Sequence[Section], screen: Screen) -> str:
    """Sections for a terminal."""
    return "\n\n".join(_text(section, screen) for section in sections)


def as_markdown(sections: Sequence[Section]) -> str:
    """Sections as GitHub-flavoured Markdown, the same for a terminal, a file and a comment."""
    return "\n".join(_markdown(section) for section in sections)


def _text(section: Section, screen: Screen) -> str:
    title = [
        screen.paint(line, "bold underline" if section.level == 1 else "bold")
        for line in screen.wrap(clean(section.title or ""))
    ]
    body = table.draw(section.page, screen).rstrip("\n") if section.page else ""
    sentences = [line for text in section.sentences for line in screen.wrap(clean(text))]
    head = "\n".join(part for part in ("\n".join(title), body) if part)
    parts = [head, section.picture or "", "\n".join(sentences)]
    return screen.encode("\n\n".join(part for part in parts if part) + "\n")


def _markdown(section: Section) -> str:
    parts = (
        [f"{'##' + '#' * section.level} {markdown.escape(clean(section.title))}\n"] if section.title else []
    )
    if section.page:
        parts.append(markdown.draw(section.page))
    if section.sentences:
        parts.append("".join(f"- {markdown.escape(clean(text))}\n" for text in section.sentences))
    return "\n".join(parts)
