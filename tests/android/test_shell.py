"""Several questions in one script, and their answers apart."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.android.shell import ask, fields, number, parse_answer, script
from vitbench.errors import ToolError


def here(argv: Sequence[str]) -> str:
    return subprocess.run(list(argv), capture_output=True, text=True, check=False).stdout


def test_every_section_is_answered_apart() -> None:
    sections = {
        "words": "echo one; printf 'two'",
        "nothing": "true",
        "broken": "no-such-program; false",
        "loud": "echo loud >&2; echo quiet",
        "marks": "echo '@@vitbench later'; echo x",
    }
    assert ask(here, sections) == {
        "words": "one\ntwo",
        "nothing": "",
        "broken": "",
        "loud": "quiet",
        "marks": "@@vitbench later\nx",
    }


def test_line_ends_of_a_terminal_do_not_matter() -> None:
    sections = {"a": "echo 1; echo 2"}
    assert ask(lambda argv: here(argv).replace("\n", "\r\n"), sections) == {"a": "1\n2"}


@pytest.mark.parametrize("answer", ["", "@@vitbench a\n1", "error: closed"])
def test_an_answer_without_its_end_is_none(answer: str) -> None:
    with pytest.raises(ToolError, match="stops before its end") as caught:
        parse_answer(answer, {"a": ""})
    assert caught.value.hint


@given(st.integers(min_value=0))
def test_cut_anywhere_it_is_an_error_or_whole(cut: int) -> None:
    sections = {"a": "", "b": ""}
    answer = "\n@@vitbench a\n1\n\n@@vitbench b\n2\n\n@@vitbench end\n"
    part = answer[: cut % (len(answer) + 1)]
    if part.endswith(("end", "end\n")):
        assert parse_answer(part, sections) == {"a": "1", "b": "2"}
    else:
        with pytest.raises(ToolError):
            parse_answer(part, sections)


def test_the_script_is_for_any_shell() -> None:
    text = script({"a": "echo 1"})
    assert subprocess.run(["sh", "-n", "-c", text], check=False).returncode == 0


def test_fields_and_numbers() -> None:
    assert fields("a=1\nb = two=2 \nc=\nnone\n") == {"a": "1", "b": "two=2"}
    assert fields("a: b: c\n", ":") == {"a": "b: c"}
    assert [number(text) for text in ("12", " -1.5e2 kB", "3.0 4.0", "0x10", "1.2.3", "x", "", None)] == [
        12.0,
        -150.0,
        3.0,
        None,
        None,
        None,
        None,
        None,
    ]
