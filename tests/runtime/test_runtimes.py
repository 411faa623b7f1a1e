"""Which runtime a target gets, and what it states about itself."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, version

import pytest

from vitbench import runtime
from vitbench.catalog.specs import SimScript, TargetSpec
from vitbench.errors import UsageError
from vitbench.runtime.onnxruntime import OnnxRuntime
from vitbench.transport import plugins


def target(name: str, **fields: object) -> TargetSpec:
    transport = "sim" if name == "sim" else "local"
    spec = {"name": "board", "title": "a board", "transport": transport, "runtime": name, **fields}
    return TargetSpec.model_validate(spec)


class Abacus(OnnxRuntime):
    """What an installed package might offer."""

    name = "abacus"


def test_onnxruntime_states_every_option() -> None:
    chosen = runtime.for_target(target("onnxruntime", threads=3))
    assert chosen.artifact_format == "onnx"
    assert chosen.version() == version("onnxruntime")
    options = chosen.load_options()
    assert options == {"threads": 3, "spin_wait": True, "affinity": None}
    assert chosen.protocol_facts(options) == {
        "transfers": "timed",
        "zero_copy": True,
        "spin_wait": True,
        "cuda_graph": False,
        "streams": 1,
    }


def test_arguments_win_over_the_target() -> None:
    chosen = runtime.for_target(
        target("onnxruntime", threads=3, options={"spin_wait": False, "affinity": [0, 1]})
    )
    assert chosen.load_options() == {"threads": 3, "spin_wait": False, "affinity": [0, 1]}
    options = chosen.load_options(threads=1, affinity=(5,))
    assert options == {"threads": 1, "spin_wait": False, "affinity": [5]}
    assert chosen.protocol_facts(options)["spin_wait"] is False


def test_sim_passes_its_script_on() -> None:
    script = SimScript(latency_ms=2, seed=4)
    chosen = runtime.for_target(target("sim", sim=script.model_dump()))
    assert chosen.artifact_format is None
    options = chosen.load_options(block=2, model="effvit-b1")
    assert options == {"script": script.model_dump(), "block": 2, "model": "effvit-b1"}
    assert chosen.protocol_facts(options)["transfers"] == "timed"


def test_sim_knows_no_options() -> None:
    scripted = target("sim", sim={"latency_ms": 1}, options={"fast": True})
    with pytest.raises(UsageError, match="option 'fast' of target 'board' is unknown to the sim runtime"):
        runtime.for_target(scripted).load_options()


def test_an_unknown_runtime_gets_a_did_you_mean() -> None:
    with pytest.raises(UsageError, match="wants runtime 'onnxruntme'") as caught:
        runtime.for_target(target("onnxruntme"))
    assert (
        caught.value.hint
        == "did you mean `onnxruntime`? the runtimes here are benchmark_model, cuda-torch, litert, "
        "onnxruntime, sim, tensorrt, trtexec"
    )


def test_an_installed_package_can_offer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("abacus", f"{__name__}:Abacus", runtime.GROUP)

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == runtime.GROUP
        return [point] if name in (None, "abacus") else []

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    assert type(runtime.for_target(target("abacus"))) is Abacus
    with pytest.raises(UsageError) as caught:
        runtime.for_target(target("abacu"))
    assert (
        caught.value.hint
        == "did you mean `abacus`? the runtimes here are abacus, benchmark_model, cuda-torch, litert, "
        "onnxruntime, sim, tensorrt, trtexec"
    )


def test_a_runtime_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(UsageError, match="onnxruntime is not installed"):
        runtime.for_target(target("onnxruntime")).version()


def test_the_host_side_imports_nothing_heavy() -> None:
    program = (
        "import sys; from vitbench import transport, runtime\n"
        "from vitbench.catalog.specs import TargetSpec\n"
        "t = TargetSpec(name='cpu', title='', transport='local', runtime='onnxruntime')\n"
        "r = runtime.for_target(t); r.version(); r.load_options()\n"
        "with transport.open(t) as o, runtime.open_agent(o) as s: s.hello(); s.probe()\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'scipy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
