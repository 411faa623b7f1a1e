"""Cores and their clusters: names, masks, and refusing to guess."""

from __future__ import annotations

import pytest

from vitbench.android.clusters import (
    CLUSTERS,
    Cluster,
    Core,
    clusters,
    cores_of,
    cpu_list,
    cpus_of,
    mask_for,
    mask_of,
    parse_cores,
)
from vitbench.errors import UsageError


def cores(*groups: tuple[int, float]) -> tuple[Core, ...]:
    """Cores in the order of the groups: (how many, highest clock)."""
    clocks = [clock for count, clock in groups for _ in range(count)]
    return tuple(Core(cpu, online=True, max_mhz=clock, limit_mhz=clock) for cpu, clock in enumerate(clocks))


ONE = cores((4, 2000))
TWO = cores((4, 1800), (4, 2400))
SNAPDRAGON_855 = cores((4, 1785.6), (3, 2419.2), (1, 2841.6))
FOUR = cores((2, 1500), (3, 2200), (2, 2500), (1, 3300))


@pytest.mark.parametrize(
    ("phone", "masks"),
    [
        (ONE, {"big": "f"}),
        (TWO, {"little": "f", "big": "f0"}),
        (SNAPDRAGON_855, {"little": "f", "big": "f0", "prime": "80"}),
        (FOUR, {"little": "3", "big": "fc", "prime": "80"}),
        # Some phones number their fast cores first.
        (cores((2, 3000), (6, 1900)), {"little": "fc", "big": "3"}),
    ],
)
def test_the_masks_of_clusters(phone: tuple[Core, ...], masks: dict[str, str]) -> None:
    for cluster in CLUSTERS:
        if cluster in masks:
            assert f"{mask_for(phone, cluster, 1):x}" == masks[cluster]
        else:
            with pytest.raises(UsageError, match=f"no {cluster} cores") as caught:
                mask_for(phone, cluster, 1)
            assert all(name in str(caught.value.hint) for name in masks)


@pytest.mark.parametrize(("cluster", "most"), [("little", 4), ("big", 4), ("prime", 1)])
def test_no_more_threads_than_cores(cluster: Cluster, most: int) -> None:
    assert mask_for(SNAPDRAGON_855, cluster, most).bit_count() == most
    with pytest.raises(UsageError, match=f"{most + 1} threads do not fit on the {most} {cluster} cores"):
        mask_for(SNAPDRAGON_855, cluster, most + 1)


def test_cores_that_are_offline_cannot_be_used() -> None:
    phone = (
        *SNAPDRAGON_855[:5],
        Core(5, online=False),
        Core(6, online=False, max_mhz=2419.2),
        SNAPDRAGON_855[7],
    )
    assert cpus_of(phone, "big") == (4, 7)
    asleep = (*SNAPDRAGON_855[:7], Core(7, online=False, max_mhz=2841.6))
    with pytest.raises(UsageError, match="every prime core of this phone is offline"):
        mask_for(asleep, "prime", 1)
    with pytest.raises(UsageError, match="5 threads do not fit on the 2 big cores"):
        mask_for(phone, "big", 5)


def test_capacities_stand_in_for_clocks() -> None:
    phone = tuple(Core(cpu, online=True, capacity=400 if cpu < 6 else 1024) for cpu in range(8))
    assert clusters(phone) == ((0, 1, 2, 3, 4, 5), (6, 7))


def test_what_cannot_be_read_is_not_guessed() -> None:
    unknown = tuple(Core(cpu) for cpu in range(8))
    partly = (Core(0, online=True, max_mhz=2000), Core(1, online=True))
    assert clusters(unknown) is clusters(partly) is clusters(()) is None
    with pytest.raises(UsageError, match="does not tell which of its cores are big"):
        mask_for(unknown, "big", 1)


def test_the_answer_of_a_phone() -> None:
    text = (
        "cpu0 cpu_capacity 325\ncpu0 cpuinfo_max_freq 1804800\ncpu0 scaling_max_freq 1500000\n"
        "cpu0 scaling_cur_freq 300000\ncpu0 scaling_governor schedutil\n"
        "cpu10 cpu_capacity \ncpu10 cpuinfo_max_freq \ncpu10 scaling_cur_freq <unsupported>\n"
        "cpu9 cpuinfo_max_freq 0\ncpufreq x 1\nonline 0-3,9\n"
    )
    assert parse_cores(text) == (
        Core(0, True, 325, 1804.8, 1500, 300, "schedutil"),
        Core(9, True),
        Core(10, False),
    )
    assert [core.capped for core in parse_cores(text)] == [True, None, None]
    assert parse_cores("online 0\n") == ()
    assert parse_cores("cpu0 cpu_capacity 1\n")[0].online is None


def test_cores_of_a_mask() -> None:
    assert [core.cpu for core in cores_of(SNAPDRAGON_855, 0xF0)] == [4, 5, 6, 7]
    assert len(cores_of(SNAPDRAGON_855, None)) == 8
    assert mask_of([7, 0, 7]) == 0x81
    assert cpu_list("0-2,5\n") == [0, 1, 2, 5]
    assert cpu_list("") == []
