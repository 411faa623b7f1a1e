"""Programs on a phone: their words, codes, ends, and nothing of them left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.adb_device.fixtures import MakePhone
from tests.support.adb_device.phone import Phone, wait_until
from tests.support.adb_device.targets import open_phone
from tests.transport.test_posix_quoting import HOSTILE
from vitbench.errors import ToolError, UsageError
from vitbench.transport.adb import AdbTransport

pytestmark = pytest.mark.adb


@pytest.fixture
def phone(make_phone: MakePhone) -> Phone:
    """One phone."""
    return make_phone()


@pytest.fixture
def link(phone: Phone) -> Iterator[AdbTransport]:
    """The transport to it."""
    with open_phone(phone.serial) as opened:
        yield opened


def test_output_errors_and_code_are_apart(link: AdbTransport) -> None:
    done = link.execute(["sh", "-c", "printf out; printf err >&2; exit 42"], 10)
    assert (done.returncode, done.stdout, done.stderr) == (42, "out", "err")
    assert link.execute(["false"], 10).returncode == 1
    assert link.execute(["sh", "-c", "exit 255"], 10).returncode == 255
    assert link.execute(["sh", "-c", "exit 127"], 10).returncode == 127
    assert link.execute(["sh", "-c", "kill -11 $$"], 10).returncode == -11


def test_hostile_words_arrive_as_they_are(link: AdbTransport) -> None:
    words = [word for word in HOSTILE if "utf-8" not in word]
    done = link.execute(["printf", "%s\\0", *words], 10)
    assert done.stdout.split("\0")[:-1] == words


def test_a_word_no_program_can_be_given(link: AdbTransport) -> None:
    with pytest.raises(UsageError, match="cannot be passed"):
        link.execute(["echo", "a\0b"], 10)


def test_there_is_no_input(link: AdbTransport) -> None:
    assert link.execute(["cat"], 10).stdout == ""


def test_much_output_comes_whole(link: AdbTransport) -> None:
    done = link.execute(["seq", "300000"], 60)
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 300001))


def test_no_such_program(link: AdbTransport) -> None:
    with pytest.raises(ToolError, match="cannot run `no-such-program` on phone") as caught:
        link.execute(["no-such-program", "--flag"], 10)
    assert "ls -l" in (caught.value.hint or "")


def test_a_program_that_may_not_be_executed(link: AdbTransport, phone: Phone) -> None:
    phone.path("/data/local/tmp/plain").write_text("text")
    with pytest.raises(ToolError, match=r"cannot run `/data/local/tmp/plain`.*[Pp]ermission denied"):
        link.execute(["/data/local/tmp/plain"], 10)


def test_a_program_for_another_processor(link: AdbTransport, phone: Phone) -> None:
    program = phone.path("/data/local/tmp/benchmark_model")
    # The header of a 64-bit program for s390x, and nothing behind it.
    program.write_bytes(b"\x7fELF\x02\x02\x01" + bytes(9) + b"\0\x02\0\x16" + bytes(200))
    program.chmod(0o755)
    with pytest.raises(ToolError, match="built for another processor") as caught:
        link.execute(["/data/local/tmp/benchmark_model"], 10)
    assert caught.value.hint == "take a build for arm64-v8a"


def test_androids_own_words_for_another_processor(link: AdbTransport, phone: Phone) -> None:
    phone.device.program("old-shell", "echo '/data/x: not executable: 64-bit ELF file' >&2\nexit 1\n")
    with pytest.raises(ToolError, match=r"built for another processor.*64-bit ELF file"):
        link.execute(["old-shell"], 10)


def test_time_is_up(link: AdbTransport, phone: Phone) -> None:
    script = "echo begun; echo so far >&2; sleep 61 & sleep 61"
    begin = time.monotonic()
    with pytest.raises(ToolError, match=r"`sh` did not end in 0\.5 s on phone .*, and was stopped") as caught:
        link.execute(["sh", "-c", script], 0.5)
    assert "so far" in caught.value.tail
    assert time.monotonic() - begin < 5
    wait_until(lambda: phone.processes() == [])
    assert link.execute(["echo", "on"], 10).stdout == "on\n"


def test_a_program_that_ignores_signals_is_stopped_too(link: AdbTransport, phone: Phone) -> None:
    with pytest.raises(ToolError, match="did not end"):
        link.execute(["sh", "-c", "trap '' HUP INT TERM; while :; do sleep 0.1; done"], 0.5)
    wait_until(lambda: phone.processes() == [])


def test_what_a_program_leaves_running_ends_with_it(link: AdbTransport, phone: Phone) -> None:
    assert link.execute(["sh", "-c", "sleep 61 & echo left"], 10).stdout == "left\n"
    wait_until(lambda: phone.processes() == [])


def test_ctrl_c_stops_the_program(link: AdbTransport, phone: Phone) -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        link.execute(["sleep", "61"], 60)
    wait_until(lambda: phone.processes() == [])


HOST = """
import sys
from tests.support.adb_device.targets import open_phone
open_phone(sys.argv[1]).execute(["sleep", "61"], 60)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_host_leaves_nothing_running(phone: Phone, end: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", HOST, phone.serial]) as host:
        wait_until(lambda: any("sleep" in line.split()[0] for line in phone.processes()), timeout_s=60)
        host.send_signal(end)
        host.wait()
    wait_until(lambda: phone.processes() == [])


def test_parallel_commands_on_two_phones(make_phone: MakePhone) -> None:
    phones = [make_phone(), make_phone()]
    with open_phone(phones[0].serial) as first, open_phone(phones[1].serial) as second:

        def count(opened: AdbTransport, number: int) -> str:
            return opened.execute(["sh", "-c", f"sleep 0.1; echo {opened.serial} {number}"], 30).stdout

        with ThreadPoolExecutor(6) as pool:
            runs = [(opened, number) for number in range(6) for opened in (first, second)]
            said = list(pool.map(lambda run: count(*run), runs))
    assert said == [f"{opened.serial} {number}\n" for opened, number in runs]
