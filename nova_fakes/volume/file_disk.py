"""A disk that is a sparse file, which other programs may open beside us."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.errors import PoolFull
from nova_fakes.volume.medium import Buffer, check_range, whole_chunks

__all__ = ["FileDisk", "make_sparse"]

# linux/falloc.h
_PUNCH_HOLE, _KEEP_SIZE = 0x02, 0x01


class FileDisk:
    """A medium over a file that is there already.

    :param path: of the file, which has its length
    :raises InvalidInput: it cannot be opened
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidInput("path", str(path), f"give a file to read and write ({error.strerror})") from error
        self._lock = threading.Lock()
        self._fallocate = ctypes.CDLL(None, use_errno=True).fallocate
        self._fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

    def __enter__(self) -> FileDisk:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return os.fstat(self._fd).st_size

    @property
    def allocated_bytes(self) -> int:
        """The room that the file takes up."""
        return os.fstat(self._fd).st_blocks * 512

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes there.

        :raises InvalidInput: beyond the end
        """
        check_range(self, offset, length)
        pieces = []
        while length:
            piece = os.pread(self._fd, length, offset)
            if not piece:
                # Another program has made it shorter meanwhile.
                check_range(self, offset, length)
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def write(self, offset: int, data: Buffer) -> None:
        """Put bytes there.

        :raises InvalidInput: beyond the end
        :raises PoolFull: the file system is full
        """
        view = memoryview(data).cast("B")
        check_range(self, offset, len(view))
        while view:
            try:
                written = os.pwrite(self._fd, view, offset)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise PoolFull(f"the file system of {self.path} is full: make room there") from error
            offset += written
            view = view[written:]

    def discard(self, offset: int, length: int) -> None:
        """Let the bytes there be zero, and give back the room that they took where the file system can.

        :raises InvalidInput: beyond the end
        """
        check_range(self, offset, length)
        if not length or not self._fallocate(self._fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length):
            return
        for _index, _within, piece in whole_chunks(offset, length):
            self.write(offset, bytes(piece))
            offset += piece

    def resize(self, size_bytes: int) -> None:
        """Make the file longer, with a hole, or shorter."""
        os.ftruncate(self._fd, size_bytes)

    def flush(self) -> None:
        """Wait until the file's bytes are on the machine's disk."""
        os.fdatasync(self._fd)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield offset and length of what is no hole in a range, or anywhere, in order."""
        end = self.size_bytes if length is None else offset + length
        while offset < end:
            with self._lock:
                try:
                    start = os.lseek(self._fd, offset, os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:
                        return
                    raise
                offset = os.lseek(self._fd, start, os.SEEK_HOLE)
            if start < end:
                yield start, min(offset, end) - start

    def close(self) -> None:
        """Close the file; twice is no error."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def make_sparse(path: Path, size_bytes: int) -> None:
    """Make a file of that length which takes no room, readable by its owner alone.

    :raises FileExistsError: there is one of that name
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, size_bytes)
    finally:
        os.close(fd)
