"""Engines that were built here, by all they depend on; and the times of tactics that builders measured.

<key>.engine         an engine
<key>.json           how it was built, with the hash of its bytes: written last
timing-<key>.cache   times of tactics, of one GPU and one version of TensorRT
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional

from ..errors import AgentError

PLACE = "engines"
# The least recently used engines beyond this go when one is built: boards have little space.
MAX_BYTES = 4 << 30
READ_BYTES = 1 << 20


def default_directory() -> str:
    """Where engines lie: in the cache of vitbench on this machine."""
    chosen = os.environ.get("VITBENCH_CACHE")
    if chosen:
        return str(Path(chosen).expanduser().absolute() / PLACE)
    base = os.environ.get("XDG_CACHE_HOME")
    return str((Path(base) if base else Path.home() / ".cache") / "vitbench" / PLACE)


def key_of(parts: Dict[str, Any]) -> str:
    """SHA-256 of what something depends on, in hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        AgentError: it cannot be read.
    """
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for chunk in iter(lambda: file.read(READ_BYTES), b""):
                found.update(chunk)
    except OSError as error:
        raise AgentError("io", f"cannot read {path}: {error.strerror}") from None
    return found.hexdigest()


def digest_of_model(model: Path) -> str:
    """One hash over the names and contents of the files of a model: all that lie in its directory."""
    files = sorted(path for path in model.parent.rglob("*") if path.is_file())
    return key_of({str(path.relative_to(model.parent)): digest_of(path) for path in files})


class EngineStore:
    """A directory of engines.

    Raises:
        AgentError: it cannot be made.
    """

    def __init__(self, directory: Optional[str]) -> None:
        self.directory = Path(directory or default_directory())
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from None

    def engine(self, key: str) -> Path:
        """Where an engine lies, or would."""
        return self.directory / f"{key}.engine"

    def find(self, key: str) -> Optional[Dict[str, Any]]:
        """How an engine was built; None where there is none, or not the one that was built."""
        try:
            described = json.loads(self._described(key).read_text())
            if described["sha256"] != digest_of(self.engine(key)):
                return None
            os.utime(self.engine(key))
        except (OSError, ValueError, KeyError, TypeError, AgentError):
            return None
        return dict(described)

    def there(self, key: str) -> bool:
        """Whether something lies there under this key, whole or not."""
        return self.engine(key).exists() or self._described(key).exists()

    def keep(self, key: str, plan: Any, described: Dict[str, Any]) -> Dict[str, Any]:
        """Keep an engine, and how it was built; returns the latter with `bytes` and `sha256`.

        Args:
            plan: its bytes, in whatever holds them.

        Raises:
            AgentError: the disk is full, or does not let us write.
        """
        view = memoryview(plan).cast("B")
        full = {**described, "bytes": view.nbytes, "sha256": hashlib.sha256(view).hexdigest()}
        try:
            # First what would speak for the old one: a reader must not take half of the new one for it.
            self._described(key).unlink(missing_ok=True)
            _write_whole(self.engine(key), view)
            _write_whole(self._described(key), memoryview(json.dumps(full, indent=1).encode()))
            self._make_room(key)
        except OSError as error:
            raise self._unusable(error) from None
        return full

    def timing(self, parts: Dict[str, Any]) -> Path:
        """Where the times of tactics lie for one GPU and version."""
        return self.directory / f"timing-{key_of(parts)[:16]}.cache"

    def keep_timing(self, path: Path, content: Any) -> None:
        """Keep times of tactics.

        Raises:
            AgentError: the disk is full, or does not let us write.
        """
        try:
            _write_whole(path, memoryview(content).cast("B"))
        except OSError as error:
            raise self._unusable(error) from None

    def _described(self, key: str) -> Path:
        return self.directory / f"{key}.json"

    def _make_room(self, key: str) -> None:
        """Remove the least recently used engines beyond what may lie here, but not the one of this key."""
        found = []
        for path in self.directory.glob("*.engine"):
            with contextlib.suppress(FileNotFoundError):  # somebody else makes room as well
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = 0
        for _, size, path in sorted(found, reverse=True):
            total += size
            if total > MAX_BYTES and path != self.engine(key):
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> AgentError:
        return AgentError("io", f"cannot keep engines in {self.directory}: {error.strerror or error}")


def _write_whole(path: Path, content: memoryview) -> None:
    """Write a file under a passing name, and give it its own."""
    descriptor, name = tempfile.mkstemp(dir=str(path.parent), prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
