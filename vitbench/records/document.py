"""A record as the text of its JSON document, and back."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from vitbench.errors import UsageError
from vitbench.records.comparison import Comparison
from vitbench.records.gate import GateRecord
from vitbench.records.schema import SCHEMA_VERSION, Part, Record

Document = Record | Comparison | GateRecord

MAX_BYTES = 64 << 20
# Whatever else a document says it is, it is judged as the record of a run.
_MODELS: dict[str, type[Document]] = {"compare": Comparison, "gate": GateRecord}
_LINE = 100
_SCALARS = (str, int, float, bool, type(None))


class UnreadableRecord(UsageError):
    """A file in the store that is not a whole record of a version this vitbench knows."""


def dump(part: Part) -> bytes:
    """Serialise a record, or a part of one: JSON in UTF-8, a list of numbers on one line, ends in a newline.

    NaN and the infinities, for which JSON has no numbers, become the strings "NaN", "Infinity", "-Infinity";
    reading turns them back.
    """
    return (_text(_finite(part.model_dump(mode="python")), "") + "\n").encode("utf-8", "replace")


def parse(data: bytes) -> Document:
    """Read a record of whichever kind it says it is.

    Raises:
        UnreadableRecord: the message says in a few words why it is none.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableRecord(f"{len(data) >> 20} MiB is too large for a record")
    try:
        record: Document = _MODELS.get(kind_of(data), Record).model_validate_json(data)
    except ValidationError as error:
        raise UnreadableRecord(_why(data, error)) from None
    if record.schema_version != SCHEMA_VERSION:
        raise UnreadableRecord(_version_reason(record.schema_version))
    return record


def kind_of(data: bytes) -> str:
    """The kind that a document says it is of.

    Raises:
        ValidationError: it is no document.
    """
    return _Stamp.model_validate_json(data).kind


class _Stamp(BaseModel):
    """What every version has; the kind decides what else."""

    model_config = ConfigDict(extra="ignore")

    schema_version: int
    kind: str = "run"


def _why(data: bytes, error: ValidationError) -> str:
    """Say why a document is no record: empty, cut short, foreign, newer, or which field is wrong."""
    if not data.strip():
        return "empty file"
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"not whole JSON: {first.get('ctx', {}).get('error', first['msg'])}"
    try:
        version = _Stamp.model_validate_json(data).schema_version
    except ValidationError:
        return "not a vitbench record: it has no `schema_version`"
    if version != SCHEMA_VERSION:
        return _version_reason(version)
    where = ".".join(str(key) for key in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"field `{where}`: {first['msg'].lower()}{more}"


def _version_reason(version: int) -> str:
    if version > SCHEMA_VERSION:
        return f"written by a newer vitbench (record schema {version}, this one reads {SCHEMA_VERSION})"
    return f"record schema {version} is unknown (this vitbench reads {SCHEMA_VERSION})"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        # Samples are long and all integers: nothing to look at.
        return [item if type(item) is int else _finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _text(value: Any, indent: str) -> str:
    """JSON with one key a line, but scalars of a list, and of a short mapping, side by side."""
    if not isinstance(value, list | dict) or not value:
        return _plain(value)
    if isinstance(value, list) and _flat(value):
        return _plain(value)
    if isinstance(value, dict) and all(_flat(item) for item in value.values()):
        line = _plain(value)
        if len(indent) + len(line) <= _LINE:
            return line
    deeper = indent + " "
    if isinstance(value, list):
        items = [f"{deeper}{_text(item, deeper)}" for item in value]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    items = [f"{deeper}{json.dumps(key)}: {_text(item, deeper)}" for key, item in value.items()]
    return "{\n" + ",\n".join(items) + f"\n{indent}}}"


def _flat(value: Any) -> bool:
    return isinstance(value, _SCALARS) or (
        isinstance(value, list) and all(isinstance(item, _SCALARS) for item in value)
    )


def _plain(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, default=str)
