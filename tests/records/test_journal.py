"""The journal: finished blocks outlive the process that measured them, whenever it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.example_comparisons import example_comparison
from benchmarks.example_records import example_record
from vitbench.errors import UsageError
from vitbench.measure import conclude_comparison, make_plan, result_of
from vitbench.records import journal
from vitbench.records.comparison import Comparison, FinishedPair
from vitbench.records.journal import Journal, abandoned, recover
from vitbench.records.schema import Block, Estimate, Header, Record
from vitbench.records.store import Store

# Measures a made-up run of five blocks and stops, or dies, where it is told to.
RUNNER = """
import os, signal, sys, time
from pathlib import Path
from benchmarks.example_records import example_record
from vitbench.records import files, journal
from vitbench.records.schema import Header
from vitbench.records.store import Store

location, blocks, end = sys.argv[1], int(sys.argv[2]), sys.argv[3]
record = example_record(iterations=10)
header = Header(**{name: getattr(record, name) for name in Header.model_fields})

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

if end == "start":
    Path.rename = die
run = journal.Journal.start(Store(location), header)
for block in record.blocks[:blocks]:
    run.add(block)
if end == "sleep":
    print("ready", flush=True)
    time.sleep(60)
elif end == "block":
    Path.replace = die
    run.add(record.blocks[blocks])
elif end == "record":
    Path.replace = die
    run.finish(record)
elif end == "journal":
    Journal = journal.Journal
    Journal.discard = die
    run.finish(record)
"""


def run_until(location: Path, blocks: int, end: str) -> None:
    done = subprocess.run([sys.executable, "-c", RUNNER, str(location), str(blocks), end], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def sleeping_run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", RUNNER, str(tmp_path), "2", "sleep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def header_of(record: Record) -> Header:
    return Header(**{name: getattr(record, name) for name in Header.model_fields})


def conclude(_header: Header, blocks: Sequence[Block]) -> Estimate | None:
    return example_record(blocks=len(blocks), iterations=10).estimate


def conclude_pairs(begun: Comparison, pairs: Sequence[FinishedPair]) -> Comparison:
    return conclude_comparison(begun, result_of(pairs), reasons=(f"{len(pairs)} pairs",))


def begun(comparison: Comparison) -> Comparison:
    """A comparison before its first pair."""
    sides = tuple(
        side.model_copy(update={"blocks": (), "estimate": None, "plan": make_plan("pairs", blocks=10)})
        for side in comparison.sides
    )
    return comparison.model_copy(
        update={"sides": sides, "pairs": (), "ratio": None, "status": "inconclusive"}
    )


def test_the_finished_pairs_of_a_comparison_outlive_its_process(tmp_path: Path) -> None:
    store, whole = Store(tmp_path), example_comparison()
    going = Journal.start(store, begun(whole))
    for pair in whole.pairs[:7]:
        blocks = (whole.sides[0].blocks[pair.blocks[0]], whole.sides[1].blocks[pair.blocks[1]])
        going.add_pair(FinishedPair(pair=pair, blocks=blocks))
    assert going._lock is not None
    os.close(going._lock)  # as when the process is killed
    (found,) = recover(store, conclude, conclude_pairs)
    assert (found.blocks, found.planned, found.pairs) == (7, 10, True)
    ((record,), problems) = store.records()
    assert problems == []
    assert isinstance(record, Comparison)
    assert record.id == whole.id
    assert record.pairs == whole.pairs[:7]
    assert record.sides[0].blocks == whole.sides[0].blocks[:7]
    assert record.status == "inconclusive"
    assert record.reasons[0] == "7 pairs"
    assert record.ratio is not None
    assert record.ratio.pairs == 7


def test_a_comparison_killed_before_its_first_pair_only_clears_up(tmp_path: Path) -> None:
    store = Store(tmp_path)
    going = Journal.start(store, begun(example_comparison()))
    assert going._lock is not None
    os.close(going._lock)
    (found,) = recover(store, conclude, conclude_pairs)
    assert (found.blocks, found.saved) == (0, None)
    assert store.records() == ([], [])


def test_an_abandoned_comparison_is_saved_by_the_next_command(tmp_path: Path) -> None:
    """Also while the process that abandoned it lives on; one that had finished nothing is dropped at once."""
    store, whole = Store(tmp_path), example_comparison()
    going = Journal.start(store, begun(whole))
    going.abandon()
    assert list(store.running_dir.iterdir()) == []
    going = Journal.start(store, begun(whole))
    pair = whole.pairs[0]
    blocks = (whole.sides[0].blocks[pair.blocks[0]], whole.sides[1].blocks[pair.blocks[1]])
    going.add_pair(FinishedPair(pair=pair, blocks=blocks))
    going.abandon()
    (found,) = recover(store, conclude, conclude_pairs)
    assert found.blocks == 1
    assert store.has(whole.id)


def test_a_finished_run_leaves_a_record_and_no_journal(tmp_path: Path) -> None:
    store, record = Store(tmp_path), example_record()
    run = Journal.start(store, header_of(record))
    for block in record.blocks:
        run.add(block)
    assert run.finish(record).problem is None
    assert store.records() == ([record], [])
    assert list(store.running_dir.iterdir()) == []
    assert recover(store, conclude, conclude_pairs) == []


@pytest.mark.parametrize("end", ["block", "record"])
def test_killed_in_a_block_or_in_the_record_keeps_the_finished_blocks(tmp_path: Path, end: str) -> None:
    run_until(tmp_path, 3, end)
    store = Store(tmp_path)
    assert store.records() == ([], [])
    assert len(abandoned(store)) == 1
    (found,) = recover(store, conclude, conclude_pairs)
    assert (found.blocks, found.planned, found.problem) == (3, 5, None)
    ((record,), problems) = store.records()
    assert problems == []
    assert record.status == "inconclusive"
    assert record.reasons == ("interrupted after 3 of 5 blocks",)
    assert record.id == found.id
    assert record.blocks == example_record(iterations=10).blocks[:3]
    assert record.estimate is not None
    assert record.estimate.blocks == 3
    assert list(store.running_dir.iterdir()) == []


def test_failed_parity_outweighs_the_interruption(tmp_path: Path) -> None:
    run_until(tmp_path, 2, "block")
    store = Store(tmp_path)
    (directory,) = abandoned(store)
    header = directory / "header.json"
    header.write_text(header.read_text().replace('"passed": true', '"passed": false'))
    recover(store, conclude, conclude_pairs)
    ((record,), _) = store.records()
    assert record.status == "parity-failed"


def test_killed_between_record_and_journal_makes_no_second_record(tmp_path: Path) -> None:
    run_until(tmp_path, 5, "journal")
    store = Store(tmp_path)
    (found,) = recover(store, conclude, conclude_pairs)
    assert found.saved is None
    ((record,), _) = store.records()
    assert record.status == "valid"
    assert list(store.running_dir.iterdir()) == []


def test_killed_before_the_first_block_only_clears_up(tmp_path: Path) -> None:
    run_until(tmp_path, 0, "block")
    store = Store(tmp_path)
    (found,) = recover(store, conclude, conclude_pairs)
    assert (found.blocks, found.saved, found.problem) == (0, None, None)
    assert store.records() == ([], [])
    assert list(store.running_dir.iterdir()) == []


def test_killed_while_starting_is_swept_once_it_is_old(tmp_path: Path) -> None:
    run_until(tmp_path, 0, "start")
    store = Store(tmp_path)
    (draft,) = store.running_dir.iterdir()
    assert recover(store, conclude, conclude_pairs) == []
    assert draft.exists()
    long_ago = time.time() - 2 * journal.STALE_S
    os.utime(draft, (long_ago, long_ago))
    assert recover(store, conclude, conclude_pairs) == []
    assert list(store.running_dir.iterdir()) == []


def test_a_run_that_goes_on_is_left_alone_until_it_dies(
    tmp_path: Path, sleeping_run: subprocess.Popen[str]
) -> None:
    store = Store(tmp_path)
    assert abandoned(store) == []
    assert recover(store, conclude, conclude_pairs) == []
    sleeping_run.kill()
    sleeping_run.wait()
    assert [found.blocks for found in recover(store, conclude, conclude_pairs)] == [2]


def test_our_own_run_is_not_taken_for_an_abandoned_one(tmp_path: Path) -> None:
    store, record = Store(tmp_path), example_record()
    run = Journal.start(store, header_of(record))
    assert recover(store, conclude, conclude_pairs) == []
    run.discard()
    run.discard()
    assert list(store.running_dir.iterdir()) == []


def damage_header(directory: Path) -> None:
    (directory / "header.json").write_text("{")


def damage_block(directory: Path) -> None:
    (directory / "block-001.json").write_text('{"index": 1}')


def newer_header(directory: Path) -> None:
    path = directory / "header.json"
    path.write_text(path.read_text().replace("{", '{"invention": 1,', 1))


@pytest.mark.parametrize("damage", [damage_header, damage_block, newer_header])
def test_a_journal_that_cannot_be_read_is_told_and_kept(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    run_until(tmp_path, 2, "block")
    store = Store(tmp_path)
    (directory,) = abandoned(store)
    damage(directory)
    (found,) = recover(store, conclude, conclude_pairs)
    assert found.problem is not None
    assert str(directory) in found.problem
    assert directory.exists()
    assert store.records() == ([], [])


def test_a_block_that_cannot_be_kept_does_not_stop_the_run(tmp_path: Path) -> None:
    store, record = Store(tmp_path), example_record()
    run = Journal.start(store, header_of(record))
    (store.running_dir / record.id).rename(tmp_path / "moved away")
    run.add(record.blocks[0])
    assert run.problem is not None
    assert "block-000" in run.problem
    assert run.finish(record).problem is None
    assert store.records() == ([record], [])


def test_a_journal_that_cannot_be_started_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / ".running").write_text("a file")
    with pytest.raises(UsageError, match=r"cannot keep the journal of this run in .*\.running"):
        Journal.start(Store(tmp_path), header_of(example_record()))


def test_a_recovered_record_finds_a_refuge_when_the_store_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until(tmp_path, 2, "block")
    store = Store(tmp_path)

    def refuse(_name: str, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.files, "write", refuse)
    (found,) = recover(store, conclude, conclude_pairs)
    assert found.saved is not None
    assert found.saved.problem is not None
    assert Path(found.saved.location).exists()
