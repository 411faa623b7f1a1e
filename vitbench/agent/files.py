"""Reading what the kernel tells. Whatever cannot be read is None."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Optional


def text(root: str, path: str) -> Optional[str]:
    """Content of a file below root without surrounding space, or None."""
    try:
        return Path(root, path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(root: str, path: str) -> Optional[float]:
    """The number a file consists of, or None."""
    content = text(root, path)
    try:
        return None if content is None else float(content)
    except ValueError:
        return None


def matches(root: str, pattern: str) -> List[str]:
    """Paths below root, relative to it, that fit a glob pattern, in order."""
    return sorted(path.relative_to(root).as_posix() for path in Path(root).glob(pattern))


def fields(content: Optional[str], separator: str = ":") -> List[List[str]]:
    """Lines `name<separator>value` as [name, value] pairs, stripped; other lines are left out."""
    pairs = [line.split(separator, 1) for line in (content or "").splitlines()]
    return [[pair[0].strip(), pair[1].strip()] for pair in pairs if len(pair) == 2]


def cpu_list(content: Optional[str]) -> List[int]:
    """CPU numbers of the kernel's list form: "0-2,5" is [0, 1, 2, 5]."""
    cpus: List[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", content or ""):
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus
