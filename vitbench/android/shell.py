"""Asking a phone for several things at once, and taking its answer apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from vitbench.errors import ToolError

# Runs a program on the phone and returns what it printed on stdout.
Run = Callable[[Sequence[str]], str]

_MARK = "@@vitbench"
_END = "end"
_SECTION = re.compile(rf"^{_MARK} (?P<name>\w+)$")


def script(sections: Mapping[str, str]) -> str:
    """One shell script that runs the commands of every section and says where each begins.

    Args:
        sections: name (letters only) -> commands; what they print on stderr is dropped.
    """
    parts = [
        f"echo; echo '{_MARK} {name}'; {{ {commands}; }} 2>/dev/null" for name, commands in sections.items()
    ]
    return "\n".join([*parts, f"echo; echo '{_MARK} {_END}'"])


def ask(run: Run, sections: Mapping[str, str]) -> dict[str, str]:
    """Run all sections in one round trip; return what each printed.

    Raises:
        ToolError: the answer stops before its end.
    """
    return parse_answer(run(["sh", "-c", script(sections)]), sections)


def parse_answer(answer: str, sections: Mapping[str, str]) -> dict[str, str]:
    """Take the answer to such a script apart; a name that the script does not hold is part of the text.

    Raises:
        ToolError: the answer stops before its end.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for line in answer.replace("\r", "").split("\n"):
        match = _SECTION.match(line)
        if match and (match["name"] in sections or match["name"] == _END):
            name = match["name"]
            found.setdefault(name, [])
        elif name:
            found[name].append(line)
    if _END not in found:
        tail = "\n".join(answer.splitlines()[-5:])
        raise ToolError(
            "the phone's answer stops before its end", "look at the cable and try again", tail=tail
        )
    return {each: "\n".join(found.get(each, [])).strip("\n") for each in sections}


def fields(text: str, separator: str = "=") -> dict[str, str]:
    """Lines `name<separator>value` as a mapping, both stripped; an empty value is left out."""
    pairs = (line.split(separator, 1) for line in text.splitlines() if separator in line)
    return {name.strip(): value.strip() for name, value in pairs if value.strip()}


def number(text: str | None) -> float | None:
    """The number that a text begins with, or None."""
    match = re.match(r"\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])", text or "")
    return float(match[1]) if match else None
