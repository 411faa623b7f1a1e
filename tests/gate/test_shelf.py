"""Artifacts on a shelf: whole and the same, or missing with a reason."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tests.export.tiny import KEY, WEIGHTS, files_of, filler, manifest
from vitbench.errors import UsageError
from vitbench.export.cache import Artifact, ArtifactCache
from vitbench.export.manifest import Manifest, digest_of
from vitbench.gate.shelf import Missing, Shelf


def tiny(root: Path, weights: bytes = WEIGHTS) -> Artifact:
    """An artifact whose digest is of its model's files, as those of networks are."""

    def fill(directory: Path) -> Manifest:
        filler(weights=weights)(directory)
        made = manifest(directory)
        running = [entry for entry in made.files if entry.name.startswith("model/")]
        return made.model_copy(update={"digest": digest_of(running)})

    return ArtifactCache(root).get_or_build(KEY, fill, lambda stage: None)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return tiny(tmp_path / "cache")


@pytest.mark.parametrize("location", ["{tmp}/shelf", "memory://shelf-of-baselines"])
def test_what_is_put_is_got(artifact: Artifact, tmp_path: Path, location: str) -> None:
    shelf = Shelf(location.format(tmp=tmp_path))
    archive = shelf.put(artifact)
    assert shelf.put(artifact) == archive
    assert shelf.digests() == [artifact.digest]
    (tmp_path / "out").mkdir()
    found = shelf.get(artifact.digest, archive, tmp_path / "out")
    assert (found.digest, found.key) == (artifact.digest, artifact.key)
    assert files_of(found) == files_of(artifact)
    assert found.model_file.read_bytes() == WEIGHTS
    shelf.remove(artifact.digest)
    shelf.remove(artifact.digest)
    assert shelf.digests() == []


def test_a_missing_a_damaged_and_an_exchanged_archive(artifact: Artifact, tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path / "shelf"))
    with pytest.raises(Missing, match="no archive of it"):
        shelf.get(artifact.digest, "0" * 64, tmp_path)
    archive = shelf.put(artifact)
    path = tmp_path / "shelf" / f"{artifact.digest}.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:-600] + b"x" + whole[-599:])
    with pytest.raises(Missing, match="damaged or altered"):
        shelf.get(artifact.digest, archive, tmp_path)
    # Saving again mends it.
    assert shelf.put(artifact) == archive
    assert path.read_bytes() == whole
    other = tiny(tmp_path / "other", weights=b"other")
    exchanged = shelf.put(other)
    path.write_bytes((tmp_path / "shelf" / f"{other.digest}.tar").read_bytes())
    with pytest.raises(Missing, match="another artifact"):
        shelf.get(artifact.digest, exchanged, tmp_path / "out")


def test_an_archive_cannot_write_outside(artifact: Artifact, tmp_path: Path) -> None:
    """Even one whose hash the baseline names: an archive is data, whoever made it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("../outside")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / f"{artifact.digest}.tar").write_bytes(buffer.getvalue())
    (tmp_path / "into").mkdir()
    with pytest.raises(Missing, match="holds no artifact"):
        Shelf(str(tmp_path / "shelf")).get(
            artifact.digest, hashlib.sha256(buffer.getvalue()).hexdigest(), tmp_path / "into"
        )
    assert not (tmp_path / "outside").exists()


def test_a_shelf_that_cannot_be_written_says_so(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot keep the artifact"):
        Shelf(str(tmp_path / "file")).put(artifact)
    with pytest.raises(UsageError, match="cannot open the artifacts"):
        Shelf("nosuchprotocol://bucket")


def _sparse(name: str, size: int) -> bytearray:
    """The header of a file that is nothing but a hole (GNU tar): 512 bytes become as many as it says."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"00000000000\0" * 2
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return header


@pytest.mark.parametrize("kind", ["link", "more", "sparse"])
def test_an_archive_holds_what_its_manifest_lists_and_no_links(
    artifact: Artifact, tmp_path: Path, kind: str
) -> None:
    shelf = Shelf(str(tmp_path / "shelf"))
    shelf.put(artifact)
    path = tmp_path / "shelf" / f"{artifact.digest}.tar"
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("model/extra")
        if kind == "link":
            info.type, info.linkname = tarfile.SYMTYPE, "model.onnx"
        if kind != "sparse":
            archive.addfile(info)
    if kind == "sparse":
        path.write_bytes(bytes(_sparse("model/extra", 1 << 33)) + path.read_bytes())
    (tmp_path / "into").mkdir()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(Missing, match="holds no artifact"):
        shelf.get(artifact.digest, digest, tmp_path / "into")
