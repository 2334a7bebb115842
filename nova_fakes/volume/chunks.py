"""Pieces of a disk's content, the tables that disks share them by, and what counts the room that they take."""

from __future__ import annotations

import threading
from typing import Protocol

from nova_fakes.volume.errors import PoolFull
from nova_fakes.volume.medium import CHUNK_BYTES, Buffer

__all__ = ["TABLE_CHUNKS", "Backing", "Chunk", "Meter", "Table"]

#: How many chunks a table holds: 1 GiB.
TABLE_CHUNKS = 1024


class Meter:
    """How much room the chunks of a pool's disks take up, each counted once however many disks share it.

    :param limit_bytes: how much there is; None: no end of it
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._used_bytes = 0
        # Python may free a chunk, and so come here, while its thread is here already.
        self._lock = threading.RLock()

    @property
    def used_bytes(self) -> int:
        """What is taken up."""
        return self._used_bytes

    def take(self) -> None:
        """Take room for one chunk.

        :raises PoolFull: there is none
        """
        with self._lock:
            if self.limit_bytes is not None and self._used_bytes + CHUNK_BYTES > self.limit_bytes:
                raise PoolFull(f"the pool's {self.limit_bytes} bytes are written full: discard something or enlarge it")
            self._used_bytes += CHUNK_BYTES

    def give(self) -> None:
        """Give the room of one chunk back."""
        with self._lock:
            self._used_bytes -= CHUNK_BYTES


class Chunk:
    """One chunk of content, which gives its room back when no disk has it any more.

    :param data: all of its bytes; None: they lie in the backing
    :param key: by which the backing knows it; None: it does not
    :raises PoolFull: there is no room for it
    """

    __slots__ = ("data", "key", "meter")

    def __init__(self, data: bytes | bytearray | None, meter: Meter, key: int | None = None) -> None:
        self.meter: Meter | None = None
        self.data = data
        self.key = key
        meter.take()
        self.meter = meter

    def __del__(self) -> None:
        if self.meter is not None:
            self.meter.give()


class Table:
    """The chunks of one GiB of a disk; disks that were cloned share it until one of them writes there.

    :param owner: who may change it: the disk's token at the time
    :param chunks: by their number in the table
    """

    __slots__ = ("chunks", "own", "owner")

    def __init__(self, owner: object, chunks: dict[int, Chunk] | None = None) -> None:
        self.owner = owner
        self.chunks = {} if chunks is None else chunks
        #: Chunks that no other disk has, so that their bytes may be changed where they are.
        self.own: set[int] = set()


class Backing(Protocol):
    """Where a disk's bytes are kept beyond the process. What a call has done is there when it returns."""

    def put(self, disk: str, index: int, data: Buffer) -> int:
        """Keep a chunk as the disk's, in place of what was there; return its key."""

    def overwrite(self, key: int, offset: int, data: Buffer) -> None:
        """Change part of a chunk that one disk alone has."""

    def load(self, key: int) -> bytes:
        """Return a chunk's bytes."""

    def drop(self, disk: str, first: int, last: int) -> None:
        """Forget the chunks of a disk from one to another, both included."""

    def share(self, source: str, target: str) -> None:
        """Let a disk have the chunks of another, in place of its own."""
