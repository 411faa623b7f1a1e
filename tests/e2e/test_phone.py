"""`vitbench` on a phone: the real adb, and a stand-in for benchmark_model on a phone on loopback."""

from __future__ import annotations

import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.cli import COMMAND, Done, vitbench
from tests.e2e.phones import RELU, SAMPLES_US, SOFTMAX, TARGET, Inside, documents, recorded
from tests.support import phones
from tests.support.adb_device import Phone
from tests.support.adb_device.fixtures import MakePhone
from tests.support.adb_device.phone import wait_until
from tests.support.benchmark_model import install
from vitbench.transport.adb import AdbTransport

pytestmark = [pytest.mark.adb, pytest.mark.tflite]
BLOCKS = 8
CYCLES = 20
# Long enough for a few commands on a busy machine: each of them is tried four times.
CALM_S = 1.5


@pytest.fixture(scope="module", autouse=True)
def _artifacts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both models in the cache of the session."""
    directory = tmp_path_factory.mktemp("export")

    def export(model: str) -> Done:
        return vitbench("export", "-m", model, "-t", "snapdragon", cwd=directory)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(export, (RELU, SOFTMAX)):
            assert done.code == 0, done.err


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """The command line in this process, with a tool that is kept by a variable."""
    monkeypatch.setenv("VITBENCH_BENCHMARK_MODEL", str(install(tmp_path, BM_SAMPLES_US=SAMPLES_US)))
    return Inside(tmp_path)


def test_from_a_name_to_a_figure(phone: Phone, tmp_path: Path) -> None:
    binary = install(tmp_path)
    done = vitbench("run", "-m", RELU, *TARGET, "--quick", "--benchmark-binary", binary, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out.startswith("SIMULATED")
    assert "compute only: the copies to and from the device could not be timed" in done.out
    (record,) = recorded(tmp_path)
    assert record.simulated
    assert record.parity is not None
    assert record.parity.passed
    assert record.protocol.transfers == "absent"
    assert record.protocol.affinity == (1,)
    assert record.estimate is not None
    assert record.estimate.latency_ms is None
    assert record.estimate.compute_ms is not None
    assert 0 < record.estimate.compute_ms < 1000
    assert record.target.device == "vitbench Test Phone, Snapdragon 8 Gen 2 (SM8550)"
    assert record.environment["facts"]["serial"] == phone.serial
    assert len(record.blocks) == 2
    for block in record.blocks:
        assert block.told is not None
        assert block.told.count >= 5
        assert block.told.median_ns == pytest.approx(block.median_ms * 1e6)
        assert block.samples.total_ns == ()
        assert block.steady is None
        assert block.after.temp_c == 35.5
        assert block.after.phone is not None
        assert block.after.phone["thermal_status"] == 0
        assert (block.after.phone["skin_c"], block.after.phone["fixed_performance"]) == (30.0, True)

    plain, shown = (vitbench("report", *more, cwd=tmp_path) for more in ((), ("--simulated",)))
    assert "attention-4x16" not in plain.out
    assert "simulated" in plain.out + plain.err
    assert shown.code == 0
    assert "SIMULATED" in shown.out
    assert "attention-4x16" in shown.out


def test_two_models_are_compared_in_pairs(phone: Phone, inside: Inside) -> None:
    done = inside("compare", RELU, SOFTMAX, *TARGET, "--quick")
    assert done.code == 0, done.err
    (comparison,) = documents(inside.cwd)
    assert comparison["simulated"]
    assert comparison["value_is"] == "compute"
    assert len(comparison["pairs"]) == 6
    assert comparison["ratio"]["ratio"] == pytest.approx(1.0, abs=0.01)
    assert phones.fixed_performance(phone)[-1] is False


def test_a_tool_without_a_result_file_tells_by_its_text(phone: Phone, inside: Inside) -> None:
    binary = install(inside.cwd, BM_SAMPLES_US=SAMPLES_US, BM_WITHOUT="result_file_path")
    done = inside.run("--benchmark-binary", binary)
    assert done.code == 0, done.err
    (record,) = inside.records()
    assert [block.median_ms for block in record.blocks] == [1.0, 1.0]


def test_the_tool_that_setup_kept_is_found(
    phone: Phone, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(inside.cwd / "data"))
    binary = install(inside.cwd, BM_SAMPLES_US="1500")
    monkeypatch.delenv("VITBENCH_BENCHMARK_MODEL")
    assert inside.run().code == 2
    assert inside("targets", "setup", "snapdragon", "--benchmark-binary", binary).code == 0
    binary.unlink()
    assert inside.run().code == 0
    (record,) = inside.records()
    assert [block.median_ms for block in record.blocks] == [1.5, 1.5]


def test_a_phone_without_the_mode_for_benchmarks_is_told(phone: Phone, inside: Inside) -> None:
    phones.refuse_fixed_performance(phone)
    assert inside.run().code == 0
    (record,) = inside.records()
    assert record.blocks[0].after.phone is not None
    assert record.blocks[0].after.phone["fixed_performance"] is False


def test_threads_beyond_the_cluster_are_refused(phone: Phone, inside: Inside) -> None:
    done = inside.run("--threads", "2")
    assert done.code == 2
    assert "2 threads do not fit on the 1 big cores" in done.err
    assert inside.records() == []


def test_of_two_phones_one_is_to_be_named(make_phone: MakePhone, inside: Inside) -> None:
    first, second = (phones.furnish(make_phone(phones.STAND_IN)) for _ in range(2))
    done = inside.run()
    assert done.code == 2
    assert first.serial in done.err
    assert second.serial in done.err
    assert inside.run("--serial", second.serial).code == 0
    (record,) = inside.records()
    assert record.environment["facts"]["serial"] == second.serial
    assert phones.pushed(second)
    assert not phones.pushed(first)
    assert phones.commands(first) == []


@pytest.mark.parametrize("where", ["results", "binary"])
def test_names_that_a_shell_would_take_for_more(where: str, phone: Phone, inside: Inside) -> None:
    """Each would make a file named `taken`, here or on the phone."""
    folder = inside.cwd / "a \"b\" 'c'; touch taken; $(touch taken) `touch taken` && é"
    folder.mkdir()
    if where == "binary":
        done = inside.run("--benchmark-binary", install(folder, BM_SAMPLES_US=SAMPLES_US))
        assert len(inside.records()) == 1
    else:
        done = inside.run("--results", folder / "results")
        assert len(recorded(folder)) == 1
    assert done.code == 0, done.err
    assert not list(inside.cwd.rglob("taken"))
    assert not (phone.root / "taken").exists()


def test_a_serial_number_is_no_command(phone: Phone, inside: Inside) -> None:
    done = inside.run("--serial", "x;touch${IFS}taken;$(touch${IFS}taken)'\"")
    assert done.code == 4
    assert "there is no phone x;touch" in done.err
    assert not list(inside.cwd.rglob("taken"))


def test_ctrl_c_leaves_the_phone_as_it_was(phone: Phone, inside: Inside) -> None:
    phones.count_runs(phone, pause_at=3)
    process = subprocess.Popen(
        [*COMMAND, "run", "-m", RELU, *TARGET, "--quick"],
        cwd=inside.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # A short run that tells how long an iteration takes, the first block, and the second one.
        wait_until(lambda: phones.runs(phone) == 3, "the second block never began", timeout_s=60)
        assert phones.fixed_performance(phone)[-1] is True
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    assert "interrupted by the user after 1 of 2 blocks" in out
    assert "Traceback" not in err
    assert phones.fixed_performance(phone)[-1] is False
    wait_until(lambda: not phone.processes(), "something still runs on the phone")
    (record,) = inside.records()
    assert len(record.blocks) == 1


class Shaker(threading.Thread):
    """Pulls the cable and puts it back, again and again, as soon as the phone has been found again."""

    def __init__(self, phone: Phone) -> None:
        super().__init__()
        self.phone = phone
        self.cycles = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while self.cycles < CYCLES and not self.ended.wait(CALM_S):
            links = self.phone.device.connected
            self.phone.unplug()
            self.ended.wait(0.05)
            self.phone.replug()
            while self.phone.device.connected == links and not self.ended.wait(0.02):
                pass
            self.cycles += 1

    def __enter__(self) -> Shaker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()


def test_nothing_is_lost_in_a_sweep_while_the_cable_comes_and_goes(
    make_phone: MakePhone, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AdbTransport, "recovery_s", 10.0)
    phone, other = (phones.furnish(make_phone(phones.STAND_IN)) for _ in range(2))
    links = other.device.connected
    sweep = ("run", "-m", f"{RELU},{SOFTMAX}", *TARGET, "--quick", "--blocks", str(BLOCKS))
    sweeps = 0
    with Shaker(phone) as shaker:
        while shaker.cycles < CYCLES:
            ended = inside(*sweep, "--serial", phone.serial)
            assert ended.code == 0, ended.err
            sweeps += 1
    records = inside.records()
    assert [record.workload.attention for record in records] == ["relu", "softmax"] * sweeps
    for record in records:
        lost = sum("the link was lost" in reason for reason in record.reasons)
        # Up to a fifth of the blocks is replaced; what is lost beyond that is missing, and said.
        assert len(record.blocks) == BLOCKS - max(0, lost - BLOCKS // 5), record.reasons
        assert {block.median_ms for block in record.blocks} == {1.0}
    assert phones.fixed_performance(phone)[-1] is False
    assert (other.state, other.device.connected) == ("device", links)
    assert not phones.pushed(other)
    assert phones.commands(other) == []
