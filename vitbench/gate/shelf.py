"""The artifacts of baselines: one archive each, by its digest, in a directory or behind an fsspec URL."""

from __future__ import annotations

import errno
import hashlib
import io
import re
import tarfile
from pathlib import Path, PurePosixPath

from vitbench.errors import UsageError
from vitbench.export.cache import Artifact
from vitbench.export.manifest import MANIFEST_FILE, DamagedArtifact, Manifest, check_files, digest_of
from vitbench.records.files import Files, open_files

SUFFIX = ".tar"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Missing(Exception):
    """An artifact is not on the shelf, or not as it was; the message says which."""


class Shelf:
    """Archives of artifacts in one place.

    Args:
        location: a directory, or an fsspec URL.

    Raises:
        UsageError: the URL's file system is unknown.
    """

    def __init__(self, location: str) -> None:
        try:
            self.files: Files = open_files(location)
        except OSError as error:
            raise UsageError(
                f"cannot open the artifacts at `{location}`: {error}", "check --artifacts"
            ) from error

    @property
    def location(self) -> str:
        """The directory or URL."""
        return self.files.location

    def put(self, artifact: Artifact) -> str:
        """Keep an artifact; an archive of the same digest that is whole stays as it is.

        Returns:
            SHA-256 of the archive.

        Raises:
            UsageError: it cannot be written.
        """
        name = artifact.digest + SUFFIX
        try:
            if self.files.exists(name):
                data = self.files.read(name)
                if _is_archive_of(data, artifact.digest):
                    return _sha256(data)
            data = _pack(artifact)
            self.files.write(name, data)
        except OSError as error:
            raise UsageError(
                f"cannot keep the artifact of a baseline in `{self.location}`: {error.strerror or error}",
                "make room or give it write permission, or choose another place with --artifacts",
            ) from error
        return _sha256(data)

    def get(self, digest: str, archive: str, into: Path) -> Artifact:
        """Take an artifact from the shelf into an empty directory.

        Args:
            digest: of the artifact.
            archive: SHA-256 of its archive, as the baseline says.

        Raises:
            Missing: it is not there, cannot be read, or is not what was kept.
            OSError: there is no room for its files.
        """
        try:
            data = self.files.read(digest + SUFFIX)
        except FileNotFoundError:
            raise Missing(f"no archive of it in `{self.location}`") from None
        except OSError as error:
            raise Missing(
                f"its archive in `{self.location}` cannot be read: {error.strerror or error}"
            ) from None
        if _sha256(data) != archive:
            raise Missing(f"its archive in `{self.location}` was damaged or altered")
        found = _unpack(data, digest, into)
        # As today's readers of a manifest expect it, for runtimes that look into the directory.
        (into / MANIFEST_FILE).write_text(found.manifest.sealed().model_dump_json(indent=1))
        return found

    def digests(self) -> list[str]:
        """Digests of everything that is kept.

        Raises:
            UsageError: the place cannot be read.
        """
        return [name for name, _ in self.sizes()]

    def sizes(self) -> list[tuple[str, int]]:
        """Digest and bytes of everything that is kept.

        Raises:
            UsageError: the place cannot be read.
        """
        try:
            entries = self.files.entries()
        except OSError as error:
            raise UsageError(
                f"cannot read the artifacts at `{self.location}`: {error.strerror or error}",
                "check --artifacts",
            ) from error
        found = [(entry.name.removesuffix(SUFFIX), entry.size) for entry in entries]
        return [(name, size) for name, size in found if _DIGEST.fullmatch(name)]

    def remove(self, digest: str) -> None:
        """Remove an archive.

        Raises:
            UsageError: it cannot be removed.
        """
        try:
            self.files.remove(digest + SUFFIX)
        except OSError as error:
            raise UsageError(
                f"cannot remove from `{self.location}`: {error.strerror or error}", "check its permissions"
            ) from error


def _pack(artifact: Artifact) -> bytes:
    """An archive of every file of an artifact; the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted([MANIFEST_FILE, *(entry.name for entry in artifact.manifest.files)]):
            data = (artifact.path / name).read_bytes()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _unpack(data: bytes, digest: str, into: Path) -> Artifact:
    """The artifact in an archive; every file is hashed against its manifest."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            names = _extract(archive, into, most=len(data))
        # Not by `read_manifest`: its checksum is of today's fields, and the archive's own hash was checked.
        manifest = Manifest.model_validate_json((into / MANIFEST_FILE).read_bytes())
        listed = {entry.name for entry in manifest.files}
        if names != listed | {MANIFEST_FILE} or manifest.model_file not in listed:
            raise DamagedArtifact("its files are not those of its manifest")
        check_files(into, manifest)
    except (tarfile.TarError, OSError, ValueError, DamagedArtifact) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        first = str(error).partition("\n")[0]
        raise Missing(f"its archive holds no artifact that this vitbench can read: {first}") from None
    running = [entry for entry in manifest.files if entry.name.startswith("model/")]
    if digest_of(running) != digest or manifest.digest != digest:
        raise Missing("its archive holds another artifact")
    return Artifact(
        path=into,
        digest=digest,
        key=manifest.key,
        format=manifest.format,
        model_file=into / manifest.model_file,
        manifest=manifest,
        cache="reused",
    )


def _extract(archive: tarfile.TarFile, into: Path, *, most: int) -> set[str]:
    """Write the files of an archive below a directory: no links, nothing outside, no more bytes than it has.

    Returns:
        Their names.
    """
    members = archive.getmembers()
    if sum(member.size for member in members) > most:
        raise DamagedArtifact("it says that it holds more than it does")
    for member in members:
        path = PurePosixPath(member.name)
        file = archive.extractfile(member) if member.isreg() else None
        if file is None or path.is_absolute() or ".." in path.parts:
            raise DamagedArtifact(f"{member.name} is no file of an artifact")
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (into / path).write_bytes(file.read())
    return {member.name for member in members}


def _is_archive_of(data: bytes, digest: str) -> bool:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="vitbench-") as directory:
        try:
            found = _unpack(data, digest, Path(directory))
        except Missing:
            return False
        # Byte for byte: a baseline names the hash of the whole archive.
        return _pack(found) == data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
