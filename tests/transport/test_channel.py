"""The channel, against programs that behave as no agent should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vitbench.errors import ToolError
from vitbench.transport.channel import Channel, describe_exit

Start = Callable[[str], Channel]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python program behind a channel; `request()` in it reads one line."""
    channels = []

    def begin(program: str) -> Channel:
        prologue = "import os, sys, time\nrequest = sys.stdin.readline\n"
        process = subprocess.Popen(
            [sys.executable, "-c", prologue + program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        channels.append(Channel(process, "test agent on `here`"))
        return channels[-1]

    yield begin
    for channel in channels:
        channel.kill()


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition: Callable[[], bool], timeout_s: float = 5) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_passes_requests_and_replies(start: Start) -> None:
    channel = start("while request(): print('{\"ok\": false}', flush=True)")
    assert channel.request({"op": "a"}, 10) == {"ok": False}
    assert channel.request({"op": "b"}, 10) == {"ok": False}


def test_takes_replies_larger_than_a_pipe_holds(start: Start) -> None:
    channel = start(
        "import json\nrequest(); print(json.dumps({'x': list(range(400000))}), flush=True); request()"
    )
    assert channel.request({"op": "a"}, 10)["x"][-1] == 399999


def test_a_reply_in_pieces_is_one_reply(start: Start) -> None:
    channel = start(
        "request()\nfor part in ('{\"o', 'k\": ', 'true}\\n{\"n', 'ext\": 1}\\n'):\n"
        "    os.write(1, part.encode()); time.sleep(0.02)\nrequest(); request()"
    )
    assert channel.request({"op": "a"}, 10) == {"ok": True}
    assert channel.request({"op": "b"}, 10) == {"next": 1}


def test_no_answer_in_time_stops_the_agent(start: Start) -> None:
    channel = start("print('compiling', file=sys.stderr, flush=True); request(); time.sleep(60)")
    with pytest.raises(ToolError, match=r"test agent on `here` did not answer `load` in 0\.5 s") as caught:
        channel.request({"op": "load"}, 0.5)
    assert caught.value.tail == "compiling"
    assert gone(channel.pid)


@pytest.mark.parametrize("reply", ["hello", "[1]", "3"])
def test_an_answer_that_is_no_object_is_refused(start: Start, reply: str) -> None:
    channel = start(f"request(); print('{reply}', flush=True); request()")
    with pytest.raises(ToolError, match=f"no JSON object.*{reply.strip('[]')}"):
        channel.request({"op": "hello"}, 10)
    assert gone(channel.pid)


def test_death_is_told_with_its_code_and_last_words(start: Start) -> None:
    channel = start(
        "request()\nfor i in range(1000): print('line', i, file=sys.stderr)\n"
        "print('out of memory', file=sys.stderr); sys.exit(9)"
    )
    with pytest.raises(ToolError, match="exited with code 9 during `measure`") as caught:
        channel.request({"op": "measure"}, 10)
    lines = caught.value.tail.splitlines()
    assert lines[-1] == "out of memory"
    assert lines[-2] == "line 999"
    assert len(lines) == 40


def test_death_by_a_signal_is_named(start: Start) -> None:
    channel = start("request(); os.kill(os.getpid(), 11)")
    with pytest.raises(ToolError, match=r"killed by signal 11 \(SIGSEGV\) during `load`"):
        channel.request({"op": "load"}, 10)


def test_half_a_reply_before_death_is_no_reply(start: Start) -> None:
    channel = start("request(); os.write(1, b'{\"ok\": true'); sys.exit(1)")
    with pytest.raises(ToolError, match="exited with code 1"):
        channel.request({"op": "measure"}, 10)


def test_a_dead_agent_takes_no_more_requests(start: Start) -> None:
    channel = start("sys.exit(3)")
    for message in ("exited with code 3 during `hello`", "has ended"):
        with pytest.raises(ToolError, match=message):
            channel.request({"op": "hello"}, 10)
    channel.close()


def test_a_flood_on_stderr_blocks_nothing(start: Start) -> None:
    channel = start(
        "request(); sys.stderr.write('x' * 5_000_000 + '\\n'); print('{}', flush=True); request()"
    )
    assert channel.request({"op": "a"}, 10) == {}


def test_close_says_bye(start: Start, tmp_path: Path) -> None:
    channel = start(f"open({str(tmp_path / 'said')!r}, 'w').write(request()); print('{{}}', flush=True)")
    channel.close()
    assert (tmp_path / "said").read_text() == '{"op": "bye"}\n'
    assert gone(channel.pid)
    channel.close()


def test_kill_takes_the_children_too(start: Start) -> None:
    channel = start(
        "import subprocess\nrequest(); child = subprocess.Popen(['sleep', '60'])\n"
        "print('{\"child\": %d}' % child.pid, flush=True); request(); request()"
    )
    child = channel.request({"op": "a"}, 10)["child"]
    assert not gone(child)
    channel.kill()
    assert wait_until(lambda: gone(child))


def test_an_interrupted_request_ends_the_conversation(start: Start) -> None:
    """Ctrl-C during a long request: what the agent would answer later must not answer the next request."""
    channel = start("request(); time.sleep(60)")
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        channel.request({"op": "measure"}, 60)
    with pytest.raises(ToolError, match="has ended"):
        channel.request({"op": "measure"}, 60)
    begin = time.monotonic()
    channel.close()
    assert time.monotonic() - begin < 2
    assert gone(channel.pid)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exited with code 0"),
        (-9, "was killed by signal 9 (SIGKILL)"),
        (-63, "was killed by signal 63"),
    ],
)
def test_describes_how_a_process_ended(code: int, text: str) -> None:
    assert describe_exit(code) == text
