"""Which chip a phone has, by what it tells."""

from __future__ import annotations

import pytest

from vitbench.android.soc import Soc, find_soc, is_same_part, marketing_name, parse_phone


@pytest.mark.parametrize(
    ("properties", "cpuinfo", "soc"),
    [
        (
            {"ro.soc.model": "SM8750P", "ro.soc.manufacturer": "QTI", "ro.board.platform": "sun"},
            {},
            Soc("SM8750P", "QTI", "Snapdragon 8 Elite", "ro.soc.model"),
        ),
        ({"ro.soc.model": "Tensor G3"}, {}, Soc("Tensor G3", None, None, "ro.soc.model")),
        (
            {"ro.soc.model": "unknown", "ro.board.platform": "kalama"},
            {},
            Soc("SM8550", None, "Snapdragon 8 Gen 2", "ro.board.platform"),
        ),
        # One of two with the same number: a name would be a guess.
        ({"ro.board.platform": "msmnile"}, {}, Soc("SM8150", None, None, "ro.board.platform")),
        # One of two with different numbers: the number would be one, too.
        ({"ro.board.platform": "taro"}, {}, Soc("taro", None, None, "ro.board.platform")),
        ({"ro.board.platform": "mt6983"}, {}, Soc("mt6983", None, None, "ro.board.platform")),
        ({"ro.hardware": "kona"}, {}, Soc("SM8250", None, None, "ro.hardware")),
        (
            {},
            {"Hardware": "Qualcomm Technologies, Inc SDM845"},
            Soc("SDM845", None, "Snapdragon 845", "/proc/cpuinfo"),
        ),
        ({}, {"processor": "0"}, None),
    ],
)
def test_the_best_source_decides(
    properties: dict[str, str], cpuinfo: dict[str, str], soc: Soc | None
) -> None:
    assert find_soc(properties, cpuinfo) == soc


@pytest.mark.parametrize(
    ("part", "wanted", "same"),
    [
        ("SM8750", "SM8750", True),
        ("SM8750P", "SM8750", True),
        ("sm8250-ac", "SM8250", True),
        ("SM87501", "SM8750", False),
        ("SM875", "SM8750", False),
        ("XSM8750", "SM8750", False),
        ("SM8750", "", False),
    ],
)
def test_a_suffix_is_no_other_part(part: str, wanted: str, same: bool) -> None:
    assert is_same_part(part, wanted) is same
    assert Soc(part, None, None, "x").is_part(wanted) is same


def test_the_longest_number_names_a_part() -> None:
    assert marketing_name("SM8250") == "Snapdragon 865"
    assert marketing_name("SM8250-AC") == "Snapdragon 870"
    assert marketing_name("SM8250-XY") == "Snapdragon 865"
    assert marketing_name("GS201") is None


def test_the_phone_and_its_system() -> None:
    found = parse_phone(
        "ro.product.model=Kite\nro.build.version.sdk=29\nro.product.cpu.abilist=\nro.product.cpu.abi=arm64-v8a\n"
        "ro.build.fingerprint=a/b=c:10\n"
    )
    assert (found.model, found.sdk, found.abis, found.fingerprint) == ("Kite", 29, ("arm64-v8a",), "a/b=c:10")
    assert parse_phone("ro.build.version.sdk=S\n").sdk is None
