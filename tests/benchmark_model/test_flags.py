"""Which flags a build knows, from its own listing."""

from __future__ import annotations

import pytest

from vitbench.benchmark_model.flags import read_help
from vitbench.benchmark_model.refusals import NoResult, Reason

OLD = """STARTING!
usage: ./benchmark_model
Flags:
\t--num_runs=50                     \tint32\tnumber of runs
\t--run_delay=-1                    \tfloat\tdelay between runs in seconds
\t--num_threads=1                   \tint32\tnumber of threads
\t--benchmark_name=                 \tstring\tits name
\t--warmup_runs=1                   \tint32\tuntimed runs, see also --num_runs=50
\t--graph=                          \tstring\tgraph file name
\t--use_nnapi=false                 \tbool\tuse nnapi api
"""
NEW = """INFO: STARTING!
ERROR: usage: /data/local/tmp/benchmark_model <flags>
Flags:
\t--num_runs=50\tint32\toptional\thow often, see also min_secs, max_secs
\t--max_secs=150\tfloat\toptional\tif --max-secs is exceeded in a run, that run is the last
\t--num_threads=-1\tint32\toptional\tnumber of threads
\t--warmup_runs=1\tint32\toptional\twarm-up
\t--graph=\tstring\toptional\tgraph file name
\t--memory_check=50\tint32\toptional\tonly with
--report_peak_memory_footprint=true, which see
\t--use_xnnpack=false\tbool\toptional\tapply XNNPACK
\t--result_file_path=\tstring\toptional\twhere to write
ERROR: Benchmarking failed.
"""


def test_the_listing_of_an_old_build() -> None:
    flags = read_help(OLD, 1)
    assert flags.dialect == "tflite"
    assert flags.defaults["num_runs"] == "50"
    assert flags.knows("use_nnapi")
    assert not flags.knows("use_xnnpack")
    assert not flags.knows("max_secs")


def test_the_listing_of_a_new_build() -> None:
    flags = read_help(NEW.replace("\n", "\r\n"), 1)
    assert flags.dialect == "tflite"
    assert flags.knows("result_file_path")
    assert flags.knows("use_xnnpack")
    # What a description mentions is no flag.
    assert not flags.knows("report_peak_memory_footprint")
    assert flags.defaults["graph"] == ""


def test_the_tool_of_litert() -> None:
    listing = NEW.replace("--use_xnnpack=false", "--use_npu=false").replace("XNNPACK", "nothing")
    assert read_help(listing).dialect == "litert"


@pytest.mark.parametrize(
    ("text", "returncode", "reason", "words"),
    [
        ("", 0, Reason.NO_PROGRAM, "is no benchmark_model"),
        ("usage: ls [FILE...]\n", 1, Reason.NO_PROGRAM, "does not list --graph"),
        ("\t--graph=\tstring\toptional\tonly\n", 1, Reason.NO_PROGRAM, "does not list --num_runs"),
        (
            "sh: ./benchmark_model: not executable: 32-bit ELF file\n",
            126,
            Reason.NOT_EXECUTABLE,
            "32-bit ELF",
        ),
        ("", 139, Reason.CRASHED, "SIGSEGV"),
    ],
)
def test_what_is_no_listing(text: str, returncode: int, reason: Reason, words: str) -> None:
    with pytest.raises(NoResult, match=words) as caught:
        read_help(text, returncode)
    assert caught.value.reason is reason
