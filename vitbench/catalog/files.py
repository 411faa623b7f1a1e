"""TOML files under models/ and targets/ to validated specs."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from vitbench.catalog.specs import FamilySpec, Spec, TargetSpec
from vitbench.errors import UsageError

S = TypeVar("S", bound=Spec)


def builtin_directory(kind: str) -> Path:
    """Folder of the built-in `models` or `targets`: packed into the wheel, or beside an editable checkout."""
    package = Path(__file__).resolve().parent.parent
    packed = package / "_data" / kind
    return packed if packed.is_dir() else package.parent / kind


def read_spec(path: Path, spec_type: type[S]) -> S:
    """Read and validate one TOML file.

    Raises:
        UsageError: unreadable, not TOML (the line is named), or a field that does not fit (and what was
            expected).
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", "correct the line it names") from error
    try:
        return spec_type.model_validate(data)
    except ValidationError as error:
        problems = [f"{_field(item['loc'])}: {_expected(item['msg'])}" for item in error.errors()]
        raise UsageError(
            f"{path} does not fit: {'; '.join(problems)}", "correct the fields it names"
        ) from error


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "file"


def _expected(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _collect(kind: str, spec_type: type[S], name_of: Callable[[S], str]) -> dict[str, S]:
    """Specs by name from the built-in folder, then the working directory's, which may extend or override."""
    found: dict[str, S] = {}
    origin: dict[str, Path] = {}
    for path in _toml_files(kind):
        spec = read_spec(path, spec_type)
        name = name_of(spec)
        if name in found and spec != found[name] and not getattr(spec, "override", False):
            raise UsageError(
                f"{path} defines '{name}', which {origin[name]} defines already",
                "choose another name, or say `override = true` in the file to replace it",
            )
        found[name], origin[name] = spec, path
    return found


def _toml_files(kind: str) -> Iterator[Path]:
    seen: set[Path] = set()
    for directory in (builtin_directory(kind), _working_directory() / kind):
        if directory.is_dir():
            for path in sorted(directory.glob("*.toml")):
                if (real := path.resolve()) not in seen:
                    seen.add(real)
                    yield path


@cache
def _families_from(_directory: Path) -> dict[str, FamilySpec]:
    return _collect("models", FamilySpec, lambda spec: spec.family)


@cache
def _targets_from(_directory: Path) -> dict[str, TargetSpec]:
    return _collect("targets", TargetSpec, lambda spec: spec.name)


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            f"cannot tell the working directory: {error.strerror}", "change to a directory that is there"
        ) from error


def load_families() -> dict[str, FamilySpec]:
    """Every model family, by name."""
    return _families_from(_working_directory())


def load_targets() -> dict[str, TargetSpec]:
    """Every target, by name."""
    return _targets_from(_working_directory())
