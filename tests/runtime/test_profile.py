"""The time of each layer, through an agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitbench import runtime, transport
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError
from vitbench.runtime import TensorFile
from vitbench.transport import Transport


def test_layers_are_timed_and_nothing_is_left_behind(
    local: Transport, model: Path, inputs: list[TensorFile]
) -> None:
    chosen, directory = runtime.for_target(local.target), local.scratch()
    options = chosen.profile_options(chosen.load_options(threads=1), directory)
    with runtime.open_session(local, chosen, model, options, inputs[:1]) as session:
        session.warm(3)
        layers = session.profile(10)
        assert not list(Path(directory).iterdir())
        with pytest.raises(UsageError, match="nothing is profiled"):
            session.profile(10)
        slowest_ns = max(session.measure(10).total_ns)
    assert {layer.calls for layer in layers} == {10}
    assert [layer.op_type for layer in layers].count("Conv") == 2
    assert 0 < sum(layer.total_ns for layer in layers) < 100 * slowest_ns


def test_a_model_that_was_loaded_without_cannot_tell(
    local: Transport, model: Path, inputs: list[TensorFile]
) -> None:
    chosen = runtime.for_target(local.target)
    with (
        runtime.open_session(local, chosen, model, chosen.load_options(), inputs[:1]) as session,
        pytest.raises(UsageError, match="nothing is profiled"),
    ):
        session.profile(1)


def test_a_directory_that_is_none_is_refused(local: Transport, model: Path) -> None:
    chosen = runtime.for_target(local.target)
    options = chosen.profile_options(chosen.load_options(), "/nowhere")
    with pytest.raises(UsageError, match="profile must be a directory, not '/nowhere'"):
        runtime.open_session(local, chosen, model, options)


def test_a_scripted_target_has_no_layers() -> None:
    spec = TargetSpec.model_validate(
        {"name": "s", "title": "s", "transport": "sim", "runtime": "sim", "sim": {"latency_ms": 1}}
    )
    chosen = runtime.for_target(spec)
    with pytest.raises(UsageError, match="the sim runtime cannot tell the time of each layer"):
        chosen.profile_options(chosen.load_options(), "")
    with (
        transport.open(spec) as link,
        runtime.open_session(link, chosen, None, chosen.load_options()) as session,
        pytest.raises(UsageError, match="a simulated target has no layers"),
    ):
        session.profile(1)
