"""Images: their bytes into volumes, and volumes' bytes out again, raw or by way of qemu-img."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from nova_fakes.temporary import TemporaryDirectory
from nova_fakes.volume.errors import ImageUnreadable
from nova_fakes.volume.file_disk import FileDisk, make_sparse
from nova_fakes.volume.medium import CHUNK_BYTES, Medium, copy

__all__ = ["FORMATS", "export_image", "raw_pieces", "write_image"]

#: Formats that qemu-img reads and writes here, by Glance's names.
FORMATS = {"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc", "vhdx": "vhdx"}
_QEMU_SECONDS = 600
_ZEROES = bytes(CHUNK_BYTES)


def raw_pieces(medium: Medium) -> Iterator[bytes]:
    """Yield a medium's whole content, in pieces of one chunk."""
    size_bytes = medium.size_bytes
    for offset in range(0, size_bytes, CHUNK_BYTES):
        yield medium.read(offset, min(CHUNK_BYTES, size_bytes - offset))


def write_image(pieces: Iterable[bytes], medium: Medium, image_format: str = "raw") -> Iterator[int]:
    """Put an image's content into a medium that is as long or longer; all else there becomes zero.

    :param pieces: the image's bytes
    :param image_format: raw, or another of FORMATS where qemu-img is there
    :returns: the bytes that were written, piece by piece; nothing happens until they are asked for
    :raises ImageUnreadable: it is not of that format, or larger than the medium
    """
    if image_format == "raw":
        yield from _write_raw(pieces, medium)
        return
    with TemporaryDirectory.of_kind("images") as directory:
        source, target = Path(directory, "image"), Path(directory, "raw")
        with source.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        _convert(source, _known(image_format), target, "raw")
        with FileDisk(target) as raw:
            if raw.size_bytes > medium.size_bytes:
                raise ImageUnreadable("image", image_format, f"it is of {raw.size_bytes} bytes: too large")
            yield from copy(raw, medium)


def export_image(medium: Medium, path: str | os.PathLike[str], image_format: str = "raw") -> None:
    """Write a medium's content into a new image file; holes stay holes.

    :raises ImageUnreadable: nothing here writes that format
    :raises FileExistsError: there is a file of that name
    """
    target = Path(path)
    known = _known(image_format)
    if known == "raw":
        _export_raw(medium, target)
        return
    with TemporaryDirectory.of_kind("images") as directory:
        raw = Path(directory, "raw")
        _export_raw(medium, raw)
        if target.exists():
            raise FileExistsError(target)
        _convert(raw, "raw", target, known)


def _write_raw(pieces: Iterable[bytes], medium: Medium) -> Iterator[int]:
    position = 0
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= CHUNK_BYTES:
            chunk = bytes(pending[:CHUNK_BYTES])
            del pending[:CHUNK_BYTES]
            _write_piece(medium, position, chunk)
            position += len(chunk)
            yield len(chunk)
    if pending:
        _write_piece(medium, position, bytes(pending))
        position += len(pending)
        yield len(pending)
    medium.discard(position, medium.size_bytes - position)


def _write_piece(medium: Medium, position: int, chunk: bytes) -> None:
    if position + len(chunk) > medium.size_bytes:
        raise ImageUnreadable("image", "raw", f"it is larger than the {medium.size_bytes} bytes that there are")
    if chunk == _ZEROES[: len(chunk)]:
        medium.discard(position, len(chunk))
    else:
        medium.write(position, chunk)


def _export_raw(medium: Medium, path: Path) -> None:
    make_sparse(path, medium.size_bytes)
    try:
        with FileDisk(path) as target:
            for offset, length in medium.extents():
                for start in range(offset, offset + length, CHUNK_BYTES):
                    target.write(start, medium.read(start, min(CHUNK_BYTES, offset + length - start)))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _known(image_format: str) -> str:
    if image_format not in FORMATS:
        raise ImageUnreadable("disk_format", image_format, f"give one of {', '.join(FORMATS)}")
    return FORMATS[image_format]


def _convert(source: Path, source_format: str, target: Path, target_format: str) -> None:
    program = shutil.which("qemu-img")
    if program is None:
        raise ImageUnreadable("disk_format", source_format, "install qemu-utils, or use raw images")
    command = [program, "convert", "-f", source_format, "-O", target_format, str(source), str(target)]
    _refuse_backing_files(program, source, source_format)
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_QEMU_SECONDS, env=_environment())
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode(errors="replace").strip().splitlines()
        raise ImageUnreadable("image", source_format, message[-1] if message else "qemu-img refused it") from error
    except subprocess.TimeoutExpired as error:
        raise ImageUnreadable("image", source_format, f"qemu-img took longer than {_QEMU_SECONDS} s") from error


def _refuse_backing_files(program: str, source: Path, source_format: str) -> None:
    """Refuse an image that would have qemu-img read another file of this machine (CVE-2015-5163, CVE-2024-32498)."""
    command = [program, "info", "-f", source_format, "--output=json", str(source)]
    try:
        answer = subprocess.run(command, check=True, capture_output=True, timeout=_QEMU_SECONDS, env=_environment())
    except subprocess.SubprocessError as error:
        raise ImageUnreadable("image", source_format, "qemu-img cannot read it") from error
    if any(word in answer.stdout for word in (b'"backing-filename"', b'"data-file"')):
        raise ImageUnreadable("image", source_format, "it refers to other files, which are not followed")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TMPDIR": tempfile.gettempdir()}
