"""Words for the phone's shell: what arrives is what was sent."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitbench.errors import UsageError
from vitbench.transport.posix.quoting import command_line, quote

SHELLS = [found for name in ("sh", "mksh", "bash") if (found := shutil.which(name))]
HOSTILE = [
    "",
    " ",
    "two words",
    "it's",
    "'''",
    '"double"',
    "; rm -rf /",
    "$(id)",
    "`id`",
    "$HOME",
    "a\nb",
    "\n",
    "a\tb\r",
    "-n",
    "--",
    "~",
    "~root",
    "*",
    "?[a-z]",
    "{a,b}",
    "a&b",
    "a|b",
    "<in",
    ">out",
    "#no comment",
    "!history",
    "\\",
    "\\n",
    "a\\'b",
    "if",
    "A=b",
    "größe",
    "模型",
    "🙂",
    "\x1b[31m",
    "\x7f",
    "\udcff not utf-8",
]


def echoed(shell: str, words: list[str]) -> list[str]:
    """Words after a shell has read them: each ended by a NUL."""
    script = f"printf '%s\\0' {command_line(words)}"
    done = subprocess.run([shell, "-c", script], capture_output=True, check=True)
    return [word.decode("utf-8", "surrogateescape") for word in done.stdout.split(b"\0")[:-1]]


@pytest.mark.parametrize("shell", SHELLS)
def test_hostile_words_arrive_as_they_are(shell: str) -> None:
    assert echoed(shell, HOSTILE) == HOSTILE


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_any_words_arrive_as_they_are(words: list[str]) -> None:
    assert echoed(SHELLS[0], words) == words


def test_a_first_word_is_a_program_and_no_syntax() -> None:
    for word in ("if", "A=b", "{", "!", "exec"):
        done = subprocess.run([SHELLS[0], "-c", command_line([word])], capture_output=True, check=False)
        assert done.returncode == (0 if word == "exec" else 127)


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_what_no_argument_can_hold_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="cannot be passed to a program on the device"):
        quote(word)
