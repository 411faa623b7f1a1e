"""The examination of a phone, and setting one up, as processes: the real adb and a phone on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cli import Done, vitbench
from tests.support import phones
from tests.support.adb_device import Phone
from tests.support.adb_device.fixtures import MakePhone
from tests.support.benchmark_model import install

pytestmark = pytest.mark.adb
DOCTOR = ("doctor", "-t", "snapdragon")
SETUP = ("targets", "setup", "snapdragon")
FACTS = {"serial", "adb_version", "phone", "soc", "os", "clusters", "mask", "readings", "benchmark_model"}


@pytest.fixture
def phone(make_phone: MakePhone) -> Phone:
    return phones.furnish(make_phone(phones.STAND_IN))


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("VITBENCH_BENCHMARK_MODEL", raising=False)


def verdicts(done: Done) -> dict[str, str]:
    return {finding["knob"]: finding["verdict"] for finding in done.json()["findings"]}


def test_a_phone_is_examined_and_left_as_it_was(phone: Phone, tmp_path: Path) -> None:
    binary = install(tmp_path, BM_WITHOUT="result_file_path")
    done = vitbench(*DOCTOR, "--benchmark-binary", binary, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found = verdicts(done)
    assert found["connection"] == found["governor"] == found["benchmark_model"] == "warn"
    for name in ("phone", "cores", "threads", "clocks", "fixed performance", "thermal status", "temperature"):
        assert found[name] == "ok", name
    for name in ("battery", "battery saver", "screen", "free memory", "free space"):
        assert found[name] == "ok", name
    data = done.json()
    assert data["simulated"] is True
    assert data["noise"] is None
    assert "not measured" in data["no_noise"]
    assert data["machine"].keys() >= FACTS
    assert data["machine"]["serial"] == phone.serial
    assert data["machine"]["readings"]["skin_c"] == 30.0
    assert phones.fixed_performance(phone) == [True, False]


def test_text_on_80_columns(phone: Phone, tmp_path: Path) -> None:
    phones.heat(phone, status=3, skin=41.0)
    phones.refuse_fixed_performance(phone, "evil \x1b[2J answer")
    done = vitbench(*DOCTOR, "--threads", "2", "--cluster", "little", cwd=tmp_path, COLUMNS="80")
    assert done.code == 0, done.err
    assert done.out.startswith("SIMULATED, this is a stand-in for a phone. snapdragon: vitbench Test Phone")
    assert "\x1b" not in done.out
    lines = done.out.splitlines()
    assert all(len(line) <= 80 for line in lines if "adb -s" not in line)
    for words in (
        "fail     thermal status     3 (severe)",
        "fail     threads            2 wanted, 1 little core",
    ):
        assert words in lines
    assert any("vitbench targets setup snapdragon" in line for line in lines)
    assert f"fix: adb -s {phone.serial} shell " in done.out
    assert "unknown  noise" in done.out
    assert "watching snapdragon" in done.err
    without = vitbench(*DOCTOR, "--no-noise-check", cwd=tmp_path)
    assert "noise" not in without.out


def test_two_phones_and_a_cluster_that_nobody_has(make_phone: MakePhone, tmp_path: Path) -> None:
    first, second = (phones.furnish(make_phone(phones.STAND_IN)) for _ in range(2))
    done = vitbench(*DOCTOR, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert first.serial in done.err
    assert second.serial in done.err
    done = vitbench(*DOCTOR, "--serial", second.serial, "--cluster", "prime", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert verdicts(done)["cores"] == "fail"
    assert phones.commands(first) == []
    assert vitbench(*DOCTOR, "--cluster", "huge", cwd=tmp_path).code == 2


@pytest.mark.tflite
def test_a_noise_check_that_is_skipped_is_said(tmp_path: Path) -> None:
    done = vitbench("doctor", "-t", "cpu-tflite", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "unknown  noise" in done.out
    assert "its network is an ONNX graph, and litert runs tflite" in done.out


def test_setup_says_where_to_get_the_tool(phone: Phone, tmp_path: Path) -> None:
    done = vitbench(*SETUP, cwd=tmp_path, COLUMNS="80")
    assert done.code == 0, done.err
    assert "vitbench downloads nothing" in " ".join(done.out.split())
    assert "/latest/android_aarch64_benchmark_model\n" in done.out
    assert "for arm64-v8a (this phone's)" in done.out
    assert "  vitbench targets setup snapdragon --benchmark-binary PATH" in done.out
    data = vitbench(*SETUP, "--json", cwd=tmp_path).json()
    assert data["phone"]["serial"] == phone.serial
    assert {source["abi"] for source in data["sources"]} == {"arm64-v8a", "armeabi-v7a"}
    assert (data["tool"], data["kept_before"]) == (None, [])
    assert not (tmp_path / "data").exists()


def test_setup_checks_and_keeps_and_the_doctor_finds_it(phone: Phone, tmp_path: Path) -> None:
    first = install(tmp_path, BM_WITHOUT="result_file_path")
    done = vitbench(*SETUP, "--benchmark-binary", first, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "lacks  --result_file_path" in done.out
    assert "has    --min_secs" in done.out
    second = install(tmp_path)
    data = vitbench(*SETUP, "--benchmark-binary", second, "--json", cwd=tmp_path).json()
    place = tmp_path / "data" / "vitbench" / "benchmark_model-arm64-v8a"
    assert data["tool"]["kept_as"] == str(place)
    assert data["tool"]["replaced_sha256"] == data["kept_before"][0]["sha256"]
    assert data["tool"]["flags_that_matter"]["result_file_path"] is True
    assert data["tool"]["dialect"] == "tflite"
    assert place.read_bytes() == second.read_bytes()
    examined = vitbench(*DOCTOR, "--json", "--no-noise-check", cwd=tmp_path)
    assert verdicts(examined)["benchmark_model"] == "ok"
    assert examined.json()["machine"]["benchmark_model"]["path"] == str(place)


@pytest.mark.parametrize("reachable", ["none", "unauthorized"])
def test_setup_without_a_phone_keeps_what_it_could_not_run(
    reachable: str, make_phone: MakePhone, tmp_path: Path
) -> None:
    phone = make_phone(trusted=False, connect=False)
    if reachable == "unauthorized":
        phone.connect("unauthorized")
    binary = tmp_path / "tool"
    binary.write_bytes(phones.program_for("armeabi-v7a"))
    done = vitbench(*SETUP, "--benchmark-binary", binary, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "not asked: " in done.out
    assert ("no phone is connected" if reachable == "none" else "does not trust") in done.out
    assert "flags    unknown" in done.out
    assert (tmp_path / "data" / "vitbench" / "benchmark_model-armeabi-v7a").exists()
    # One that was named must be there.
    assert vitbench(*SETUP, "--serial", phone.serial, cwd=tmp_path).code == 4


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"<html>", 2, "a web page"),
        (b"#!/bin/sh\nexit 0\n", 5, "is no benchmark_model"),
        (b"\x7fELF\x02\x01\x01", 2, "header makes no sense"),
        (
            phones.program_for("arm64-v8a"),
            2,
            "is a program for arm64-v8a, and the phone executes armeabi-v7a",
        ),
    ],
    ids=["page", "other program", "damaged", "other ABI"],
)
def test_setup_refuses_what_is_no_tool_for_the_phone(
    content: bytes, code: int, words: str, make_phone: MakePhone, tmp_path: Path
) -> None:
    phones.furnish(make_phone({**phones.STAND_IN, "ro.product.cpu.abilist": "armeabi-v7a"}))
    binary = tmp_path / "tool"
    binary.write_bytes(content)
    done = vitbench(*SETUP, "--benchmark-binary", binary, cwd=tmp_path)
    assert done.code == code
    assert words in done.err
    assert "hint: " in done.err
    assert not (tmp_path / "data").exists()


def test_a_tool_that_no_measurement_could_command_is_not_kept(phone: Phone, tmp_path: Path) -> None:
    done = vitbench(*SETUP, "--benchmark-binary", install(tmp_path, BM_WITHOUT="use_xnnpack"), cwd=tmp_path)
    assert done.code == 2
    assert "older than XNNPACK" in done.err
    assert not (tmp_path / "data").exists()


def test_only_phones_are_set_up(tmp_path: Path) -> None:
    for more in ((), ("--serial", "A1")):
        done = vitbench("targets", "setup", "cpu", *more, cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert "cpu" in done.err
    assert json.loads(vitbench("targets", "--json", cwd=tmp_path).out)
