"""The tensorrt runtime on a board behind a real ssh: pushed, built there, kept there, run there."""

from __future__ import annotations

import venv
from pathlib import Path

import pytest

from tests.support.sshd.board import Board
from tests.support.tensorrt_stand_in.interpreter import make_python
from tests.support.tensorrt_stand_in.toys import write_toy
from vitbench import transport
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError
from vitbench.runtime import TensorFile
from vitbench.runtime.tensorrt import TensorRt

pytestmark = pytest.mark.sshd


def target(**more: object) -> TargetSpec:
    spec = {"name": "board", "title": "a board", "transport": "ssh", "runtime": "tensorrt", "host": "board"}
    return TargetSpec.model_validate({**spec, **more})


def test_an_engine_is_built_and_run_on_the_board(board: Board, tmp_path: Path) -> None:
    python = make_python(tmp_path / "python", packages=False)
    model = write_toy(tmp_path / "model")
    (tmp_path / "x.bin").write_bytes(b"12345678")
    inputs = [TensorFile("x", "float16", (1, 4), tmp_path / "x.bin")]
    engine = TensorRt(target(python=str(python), options={"cuda_graph": True}))
    with transport.open(engine.target) as link:
        assert engine.made_for(link).version == "10.3.0"
        told = engine.prepare(link, model, anew=False, on_stage=lambda _: None)
        assert str(told).startswith("built engine ")
        with engine.open_session(link, model, engine.load_options(), inputs) as session:
            assert session.measure(2).compute_ns == (5000, 5000)
            ((output,),) = session.outputs([inputs], tmp_path)
            assert output.path.read_bytes() == b"12345678"
            built = session.loaded.engine
    assert built is not None
    # In the cache of the board's user, where the next run finds it.
    assert built["engine"] == str(board.home / ".cache" / "vitbench" / "engines" / f"{built['key']}.engine")
    assert Path(built["engine"]).is_file()


def test_a_board_without_tensorrt_says_what_it_lacks(board: Board, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare")
    board.program("python3", f'exec {tmp_path}/bare/bin/python "$@"')
    engine = TensorRt(target())
    lacks = pytest.raises(ToolError, match="TensorRT does not run on board: ")
    with transport.open(engine.target) as link, lacks as raised:
        engine.made_for(link)
    assert "`ssh board " in str(raised.value.hint)
