"""Versions as banners write them."""

from __future__ import annotations

import pytest

from vitbench.trtexec.version import Version, find_version, parse_version, read_banner


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("8201", Version(8, 2, 1)),
        ("8410", Version(8, 4, 10)),
        ("8510", Version(8, 5, 10)),
        ("8601", Version(8, 6, 1)),
        ("100001", Version(10, 0, 1)),
        ("100300", Version(10, 3, 0)),
        ("101600", Version(10, 16, 0)),
        ("110100", Version(11, 1, 0)),
        ("8.6.1", Version(8, 6, 1)),
        ("10.3.0.30", Version(10, 3, 0)),
        ("10.3", Version(10, 3)),
    ],
)
def test_both_forms_of_digits_and_dots(text: str, version: Version) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "86", "86010", "1003000", "8.x", "8", "8.6.1.2.3", "v8601"])
def test_what_is_no_version(text: str) -> None:
    assert parse_version(text) is None


def test_versions_are_ordered_by_number_and_not_by_text() -> None:
    assert Version(8, 6, 1) < Version(10, 0) < Version(10, 16) < Version(11, 0)
    assert Version(10, 3, 0, build=26) == Version(10, 3, 0)
    assert str(Version(8, 4, 10)) == "8.4.10"


def test_a_banner() -> None:
    banner = read_banner("&&&& PASSED TensorRT.trtexec [TensorRT v101300] [b35] # trtexec --onnx=a.onnx")
    assert banner is not None
    assert (banner.what, banner.version) == ("PASSED", Version(10, 13, 0))
    assert banner.version is not None
    assert banner.version.build == 35
    old = read_banner("&&&& RUNNING TensorRT.trtexec # trtexec")
    assert old is not None
    assert old.version is None
    kept = read_banner("2025-01-01T00:00:00Z trtexec-1 | &&&& FAILED TensorRT.trtexec [TensorRT v8601]")
    assert kept is not None
    assert kept.what == "FAILED"
    assert read_banner("echo '&&&& PASSED TensorRT.trtexec [TensorRT v8601]'") is None


def test_the_version_of_a_log_without_its_banner() -> None:
    assert find_version(["[I] TensorRT version: 8.4.10", "[I] Latency"]) == Version(8, 4, 10)
    assert find_version(
        ["TensorRT version: 8.6.1", "&&&& PASSED TensorRT.trtexec [TensorRT v8502]"]
    ) == Version(8, 5, 2)
    assert find_version(["nothing"]) is None
