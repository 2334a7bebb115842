"""What can be read and written by offset: disks in memory, files, devices of guests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from nova_fakes.exceptions import InvalidInput

__all__ = ["CHUNK_BYTES", "Buffer", "Medium", "check_range", "copy", "whole_chunks"]

#: In such pieces bytes are kept, shared and copied.
CHUNK_BYTES = 1 << 20

#: What bytes are handed over in.
Buffer = bytes | bytearray | memoryview


class Medium(Protocol):
    """A row of bytes of a fixed length. Offsets and lengths are in bytes everywhere."""

    @property
    def size_bytes(self) -> int:
        """How long it is."""

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes there; what was never written is zero.

        :raises InvalidInput: beyond the end
        """

    def write(self, offset: int, data: Buffer) -> None:
        """Put bytes there.

        :raises InvalidInput: beyond the end
        :raises ReadOnly: nothing may be written
        :raises PoolFull: no room is left; what came before has been written
        """

    def discard(self, offset: int, length: int) -> None:
        """Let the bytes there be zero, and give back the room that they took.

        :raises InvalidInput: beyond the end
        :raises ReadOnly: nothing may be written
        """

    def flush(self) -> None:
        """Return when everything that was written is safe."""

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield offset and length of what takes up room in a range, or anywhere, in order; all else there is zero."""


def check_range(medium: Medium, offset: int, length: int) -> None:
    """Refuse what lies beyond a medium's end.

    :raises InvalidInput: it does
    """
    if offset < 0 or length < 0 or offset + length > medium.size_bytes:
        raise InvalidInput("range", (offset, length), f"stay within the {medium.size_bytes} bytes that there are")


def whole_chunks(offset: int, length: int) -> Iterator[tuple[int, int, int]]:
    """Yield chunk, offset in it and length for each piece of a range."""
    end = offset + length
    while offset < end:
        index, within = divmod(offset, CHUNK_BYTES)
        piece = min(CHUNK_BYTES - within, end - offset)
        yield index, within, piece
        offset += piece


def copy(source: Medium, target: Medium) -> Iterator[int]:
    """Make a target's content that of a source that is not longer, chunk by chunk; yield the bytes of each.

    What the source lacks is discarded, so that the target takes up no more room than the source.

    :raises InvalidInput: the target is shorter
    """
    check_range(target, 0, source.size_bytes)
    done = 0
    for offset, length in source.extents():
        if offset > done:
            target.discard(done, offset - done)
        for index, within, piece in whole_chunks(offset, length):
            position = index * CHUNK_BYTES + within
            target.write(position, source.read(position, piece))
            yield piece
        done = offset + length
    if target.size_bytes > done:
        target.discard(done, target.size_bytes - done)
