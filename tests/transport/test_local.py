"""The local transport: files, programs, and what an agent may see of its surroundings."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitbench import transport
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError
from vitbench.transport import Transport
from vitbench.transport.local import interpreter_flags
from vitbench.transport.zipapp import build_zipapp

CPU = TargetSpec(name="cpu", title="this machine", transport="local", runtime="onnxruntime")


@pytest.fixture
def local() -> Iterator[Transport]:
    with transport.open(CPU) as opened:
        yield opened


def test_files_are_there_already(local: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    monkeypatch.chdir(tmp_path)
    assert local.push(Path("model.onnx")) == str(tmp_path / "model.onnx")
    assert local.push(tmp_path) == str(tmp_path)
    with pytest.raises(UsageError, match=r"no file .*missing\.onnx"):
        local.push(tmp_path / "missing.onnx")


def test_pulls_files_whole_or_not_at_all(local: Transport, tmp_path: Path) -> None:
    source = Path(local.scratch()) / "out.bin"
    source.write_bytes(b"123")
    local.pull(str(source), tmp_path / "in.bin")
    assert (tmp_path / "in.bin").read_bytes() == b"123"
    with pytest.raises(UsageError, match="cannot copy"):
        local.pull(str(source) + "-missing", tmp_path / "other.bin")
    with pytest.raises(UsageError, match="cannot copy"):
        local.pull(str(source), tmp_path / "no-directory" / "in.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["in.bin"]


def test_scratch_directories_are_new_and_end_with_the_transport() -> None:
    with transport.open(CPU) as opened:
        first, second = Path(opened.scratch()), Path(opened.scratch())
        assert first != second
        assert list(first.iterdir()) == []
        (first / "left").write_text("behind")
    assert not first.exists()
    opened.close()


def test_executes_without_a_shell(local: Transport) -> None:
    done = local.execute(["echo", "$HOME; rm -rf `pwd`", "'\""], 10)
    assert (done.returncode, done.stdout, done.stderr) == (0, "$HOME; rm -rf `pwd` '\"\n", "")
    program = "import sys; print(sys.stdin.read(), file=sys.stderr); sys.exit(7)"
    assert local.execute([sys.executable, "-c", program], 10).returncode == 7


def test_execute_says_what_failed(local: Transport) -> None:
    with pytest.raises(ToolError, match="cannot run `no-such-program`: No such file"):
        local.execute(["no-such-program"], 10)
    with pytest.raises(ToolError, match=r"`sleep` did not end in 0\.1 s"):
        local.execute(["sleep", "20"], 0.1)


def test_what_takes_too_long_ends_with_all_that_it_started(local: Transport, tmp_path: Path) -> None:
    script = 'sleep 600 & echo $! > "$0"; wait'
    with pytest.raises(ToolError, match="`sh` did not end"):
        local.execute(["sh", "-c", script, str(tmp_path / "child")], 1)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        status = Path(f"/proc/{child}/stat")
        # Somebody else's child by now, which may not have been waited for yet.
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child of the script is still running")


def test_the_agent_has_a_session_of_its_own(local: Transport) -> None:
    channel = local.start_agent("agent")
    try:
        assert os.getsid(channel.pid) == channel.pid != os.getsid(0)
        assert channel.request({"op": "hello"}, 10)["pid"] == channel.pid
    finally:
        channel.close()
    assert channel.tail() == ""


def test_surroundings_cannot_replace_what_the_agent_imports(
    local: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "select", "vitbench_agent", "onnxruntime"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    monkeypatch.chdir(tmp_path)
    channel = local.start_agent("agent")
    reply = channel.request({"op": "hello"}, 10)
    channel.close()
    assert reply["ok"] is True
    assert "onnxruntime" in reply["runtimes"]


def test_interpreter_flags_are_accepted_and_keep_site_packages() -> None:
    program = "import sys; assert sys.flags.safe_path and sys.flags.ignore_environment; import numpy"
    done = subprocess.run([sys.executable, *interpreter_flags(), "-c", program], check=False)
    assert done.returncode == 0


def test_describes_itself(local: Transport) -> None:
    assert local.describe()["transport"] == "local"
    assert local.describe()["executable"] == sys.executable


def test_the_packed_agent_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first, second = build_zipapp(tmp_path / "a" / "one.pyz"), build_zipapp(tmp_path / "two.pyz")
    assert first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert names == sorted(names)
    assert {"__main__.py", "vitbench_agent/main.py", "vitbench_agent/backends/sim.py"} <= set(names)
    assert all(name.endswith(".py") for name in names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "two.pyz"]


def test_the_packed_agent_needs_nothing_of_vitbench(tmp_path: Path) -> None:
    packed = build_zipapp(tmp_path / "agent.pyz")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(packed)],
        input=b'{"op": "hello"}\n{"op": "bye"}\n',
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b'"ok": true') == 2
