"""The images' bytes: one file per image in a directory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nova_fakes.exceptions import ApiError

__all__ = ["Content", "Stored"]

BLOCK_BYTES = 262144
QCOW2_MAGIC = b"QFI\xfb"


@dataclass(frozen=True, slots=True)
class Stored:
    """What was found out about an image's bytes on their way in.

    Attributes:
        size_bytes: how many there are.
        md5: their MD5, hexadecimal.
        sha512: their SHA-512, hexadecimal.
        head: the first of them, as many as formats are known by.
    """

    size_bytes: int
    md5: str
    sha512: str
    head: bytes

    def virtual_size_bytes(self, disk_format: str | None) -> int | None:
        """Return the size of the disk in the image; None where the format does not tell."""
        if disk_format in ("raw", "iso"):
            return self.size_bytes
        if disk_format == "qcow2" and self.head[:4] == QCOW2_MAGIC and len(self.head) >= 32:
            return int.from_bytes(self.head[24:32], "big")
        return None


class Content:
    """Files named by image id in a directory, which is made if it is missing.

    Args:
        directory: where they are.
        size_limit_bytes: what an image may have at most; None for no limit.
    """

    def __init__(self, directory: Path, size_limit_bytes: int | None = None) -> None:
        self.directory = directory
        self._size_limit_bytes = size_limit_bytes
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, image_id: str, blocks: Iterable[bytes]) -> Stored:
        """Keep an image's bytes, replacing what was there; if anything fails, nothing has changed.

        Raises:
            ApiError: 413, they are more than the limit.
        """
        md5 = hashlib.md5(usedforsecurity=False)
        sha512 = hashlib.sha512()
        size_bytes = 0
        head = b""
        part = self.directory / f"{image_id}.part"
        try:
            with part.open("wb") as file:
                for block in blocks:
                    size_bytes += len(block)
                    if self._size_limit_bytes is not None and size_bytes > self._size_limit_bytes:
                        raise ApiError(
                            413, f"Denying attempt to upload image larger than {self._size_limit_bytes} bytes."
                        )
                    if len(head) < 64:
                        head += block[: 64 - len(head)]
                    md5.update(block)
                    sha512.update(block)
                    file.write(block)
            os.replace(part, self.directory / image_id)
        finally:
            part.unlink(missing_ok=True)
        return Stored(size_bytes, md5.hexdigest(), sha512.hexdigest(), head)

    def read(self, image_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Return an iterator over an image's bytes from `start` up to `stop` (the end if None).

        The file is opened at once, so that an image deleted in the meantime is still read to its end.

        Raises:
            ApiError: 404, the bytes are not there.
        """
        try:
            file = (self.directory / image_id).open("rb")
        except FileNotFoundError:
            raise ApiError(404, f"The data of image {image_id} is not in the store.") from None

        def blocks() -> Iterator[bytes]:
            with file:
                file.seek(start)
                left = None if stop is None else stop - start
                while left is None or left > 0:
                    block = file.read(BLOCK_BYTES if left is None else min(left, BLOCK_BYTES))
                    if not block:
                        return
                    if left is not None:
                        left -= len(block)
                    yield block

        return blocks()

    def delete(self, image_id: str) -> None:
        """Remove an image's bytes; nothing happens if there are none."""
        (self.directory / image_id).unlink(missing_ok=True)
