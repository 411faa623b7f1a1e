"""What a `compare` asks for: options as text to the rows of a study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from vitbench import catalog
from vitbench.catalog import DeviceOptions
from vitbench.errors import UsageError
from vitbench.measure.pairs import MIN_PAIRS
from vitbench.measure.plan import Preset, make_plan
from vitbench.records.schema import Plan
from vitbench.request import Cell, parse_request
from vitbench.study.matching import match_macs
from vitbench.study.rows import PlannedRow, StudyPart, StudyRequest
from vitbench.study.tokens import DEFAULT_GRIDS, FULL_GRIDS, QUICK_GRIDS, parse_grids

MAX_PAIRS = 500
# EfficientViT-B1's third stage: 8 heads of 16 channels.
BLOCK = "8x16"
NETWORK = "effvit-b1"
NETWORK_RESOLUTIONS = ("224", "512", "1024")
MIXER_NETWORK = "metaformer-s12"
MIXER_RESOLUTIONS = ("224", "384", "512")
MIXER_RESOLUTIONS_FULL = ("224", "384", "512", "768", "1024")


@dataclass(frozen=True)
class Asked:
    """What was asked for besides the names, as text where it is parsed later.

    Attributes:
        block: HEADSxDIM of the attention block.
        models: networks in which the kind is swapped.
        pairs: of each comparison; the preset's number when None.
        quick, full: less, or more, than the default.
        allow_mismatch: whether sides may differ in protocol.
        profile: whether the time of each layer is wanted as well.
        device: which phone or board is meant, and how it is used.
    """

    targets: tuple[str, ...]
    tokens: tuple[str, ...] = ()
    block: str = BLOCK
    models: tuple[str, ...] = ()
    resolutions: tuple[str, ...] = ()
    batch: str | None = None
    precision: str | None = None
    threads: int | None = None
    pairs: int | None = None
    seed: int = 0
    quick: bool = False
    full: bool = False
    weights: Path | None = None
    no_cache: bool = False
    allow_mismatch: bool = False
    profile: bool = False
    device: DeviceOptions | None = None


def parse_study(names: Sequence[str], asked: Asked) -> StudyRequest:
    """Resolve names to attention kinds, token mixers, models or files, in that order, and plan the rows.

    Names after the first are each compared with the first. `kind:` and `model:` before a name force one.

    Raises:
        UsageError: fewer than two names, kinds and models mixed, or an option that does not fit.
    """
    if len(names) < 2:
        raise UsageError("a comparison needs two sides", "for example: vitbench compare softmax relu -t cpu")
    if not asked.targets:
        raise UsageError("no target named", "add --target NAME; `vitbench targets` lists them")
    if asked.quick and asked.full:
        raise UsageError("--quick and --full contradict each other", "drop one")
    _check_pairs(asked.pairs)
    rows = [row for target in asked.targets for row in _rows(names, replace(asked, targets=(target,)))]
    return StudyRequest(
        title=f"{names[0]} against {' and '.join(names[1:])}",
        rows=tuple(rows),
        choice=make_plan("choice", seed=asked.seed),
        threads=asked.threads,
        weights_file=asked.weights,
        no_cache=asked.no_cache,
        allow_mismatch=asked.allow_mismatch,
        profile=asked.profile,
    )


def _check_pairs(pairs: int | None) -> None:
    if pairs is not None and not MIN_PAIRS <= pairs <= MAX_PAIRS:
        raise UsageError(
            f"pairs must be from {MIN_PAIRS} to {MAX_PAIRS}, not {pairs}",
            "fewer than six have no 95 % interval; the default is 10",
        )


def _plan(part: StudyPart, asked: Asked) -> Plan:
    preset: Preset = "quick-pairs" if asked.quick else "study" if part in ("block", "matched") else "pairs"
    return make_plan(preset, blocks=2 * asked.pairs if asked.pairs else None, seed=asked.seed)


def _rows(names: Sequence[str], asked: Asked) -> list[PlannedRow]:
    families = catalog.load_families()
    kinds, mixers = families["attention"].attention, families["metaformer"].attention
    plain = [name.removeprefix("kind:") for name in names]
    if all(name in kinds for name in plain):
        return _kind_rows(plain, asked)
    if all(name in mixers for name in plain):
        return _mixer_rows(plain, asked)
    _refuse_mixed(names, kinds, mixers)
    return _model_rows([_model_name(name) for name in names], asked)


def _refuse_mixed(names: Sequence[str], kinds: Sequence[str], mixers: Sequence[str]) -> None:
    """Kinds are compared with kinds, mixers with mixers, and models with models."""
    plain = {name: name.removeprefix("kind:") for name in names}
    swapped = [name for name in names if name.startswith("kind:") or name in (*kinds, *mixers)]
    if not swapped:
        return
    for name in names:
        if plain[name] not in (*kinds, *mixers) and (name in swapped or not _looks_like_model(name)):
            raise catalog.unknown(
                "attention kind or token mixer", plain[name], (*kinds, *mixers), "vitbench models"
            )
    offered = f"attention kinds are {', '.join(kinds)}; token mixers {', '.join(mixers)}"
    model = next((name for name in names if name not in swapped), None)
    if model is None:
        raise UsageError("an attention kind cannot be compared with a token mixer", offered)
    raise UsageError(
        f"'{swapped[0]}' is an attention kind or a token mixer, and {model} is a model",
        f"compare models with models, for example {model}+{plain[swapped[0]]}; {offered}",
    )


def _looks_like_model(name: str) -> bool:
    families = catalog.load_families()
    return ":" in name or name.endswith(".onnx") or re.split(r"[-+@]", name)[0] in families


def _model_name(name: str) -> str:
    """The name of a model: `model:` dropped, the path of an ONNX file marked as one."""
    name = name.removeprefix("model:")
    return f"onnx:{name}" if name.endswith(".onnx") and not name.startswith("onnx:") else name


def _kind_rows(kinds: Sequence[str], asked: Asked) -> list[PlannedRow]:
    """The attention study: the block alone, at matched MACs, and whole networks."""
    if asked.models:
        if asked.tokens:
            raise UsageError(
                "--tokens is of the attention block alone, --model of whole networks", "drop one of them"
            )
        return _network_rows(kinds, asked, asked.models, asked.resolutions)
    if asked.resolutions:
        raise UsageError("--resolution is of whole networks", "add --model effvit-b1, or give --tokens")
    default = FULL_GRIDS if asked.full else QUICK_GRIDS if asked.quick else DEFAULT_GRIDS
    grids = parse_grids(asked.tokens) if asked.tokens else default
    rows = [
        row for grid in grids for second in kinds[1:] for row in _block_rows((kinds[0], second), grid, asked)
    ]
    if asked.full:
        rows += _network_rows(kinds, asked, (NETWORK,), NETWORK_RESOLUTIONS)
    return rows


def _block_rows(kinds: tuple[str, str], grid: tuple[int, int], asked: Asked) -> list[PlannedRow]:
    """The block of two kinds at one grid: at the same width, then with equal MACs."""
    size = catalog.format_resolution(grid)
    first, second = (_cell(f"attention-{asked.block}+{kind}:{size}", asked) for kind in kinds)
    rows = [_row("block", kinds, grid, (first, second), asked)]
    match = match_macs(first.workload.model, second.workload.model)
    models = (match.first, match.second)
    if models != (first.workload.model, second.workload.model):
        matched = tuple(
            replace(cell, workload=cell.workload.model_copy(update={"model": model}))
            for cell, model in zip((first, second), models, strict=True)
        )
        rows.append(_row("matched", kinds, grid, (matched[0], matched[1]), asked))
    return rows


def _row(
    part: StudyPart,
    labels: tuple[str, str],
    tokens: tuple[int, int] | None,
    cells: tuple[Cell, Cell],
    asked: Asked,
) -> PlannedRow:
    return PlannedRow(
        part=part,
        labels=labels,
        tokens=tokens,
        cells=cells,
        choose=part != "models",
        plan=_plan(part, asked),
    )


def _network_rows(
    kinds: Sequence[str], asked: Asked, models: Sequence[str], resolutions: Sequence[str]
) -> list[PlannedRow]:
    """Whole networks with the kind swapped, at every resolution asked for."""
    rows = []
    for model, resolution in product(models, resolutions or (None,)):
        cells = [_cell(f"{model}+{kind}", asked, resolution) for kind in kinds]
        rows += [
            _row("network", (kinds[0], kind), None, (cells[0], cell), asked)
            for kind, cell in zip(kinds[1:], cells[1:], strict=True)
        ]
    return rows


def _mixer_rows(mixers: Sequence[str], asked: Asked) -> list[PlannedRow]:
    """MetaFormer with the token mixer swapped."""
    if asked.tokens:
        raise UsageError("--tokens is of attention kinds", "give --resolution")
    default = MIXER_RESOLUTIONS_FULL if asked.full else MIXER_RESOLUTIONS
    return _network_rows(mixers, asked, asked.models or (MIXER_NETWORK,), asked.resolutions or default)


def _model_rows(names: Sequence[str], asked: Asked) -> list[PlannedRow]:
    """Models as they were named, at every resolution asked for."""
    for option, value in (("--tokens", asked.tokens), ("--model", asked.models)):
        if value:
            raise UsageError(f"{option} is of attention kinds, and {names[0]} is a model", f"drop {option}")
    rows = []
    for resolution in asked.resolutions or (None,):
        cells = [_cell(name, asked, resolution) for name in names]
        rows += [_row("models", _labels(cells[0], cell), None, (cells[0], cell), asked) for cell in cells[1:]]
    return rows


def _labels(first: Cell, second: Cell) -> tuple[str, str]:
    """Names of two cells; with their resolutions where those differ."""
    models = (first.workload.model, second.workload.model)
    if models[0].resolution == models[1].resolution:
        return models[0].name, models[1].name
    return first.workload.label, second.workload.label


def _cell(name: str, asked: Asked, resolution: str | None = None) -> Cell:
    (cell,) = parse_request(
        models=[name],
        targets=asked.targets,
        resolutions=[resolution] if resolution else [],
        batches=[asked.batch] if asked.batch else [],
        precision=asked.precision,
        threads=asked.threads,
        seed=asked.seed,
        weights=asked.weights,
        device=asked.device,
    ).cells
    return cell
