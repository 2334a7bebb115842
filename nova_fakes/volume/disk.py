"""Sparse disks in memory: what was never written takes no room, what clones have in common is there once.

A disk is a tree of two levels, as a processor's page tables are: a table for each GiB that has anything written, a
chunk for each MiB. A clone copies the upper level alone; whoever writes first to a table or chunk that is shared makes
his own copy of it. So a clone costs the same whatever was written, and however many clones lie between, a read takes
two look-ups.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.chunks import TABLE_CHUNKS, Backing, Chunk, Meter, Table
from nova_fakes.volume.medium import CHUNK_BYTES, Buffer, Medium, check_range, whole_chunks

__all__ = ["SparseDisk", "digest"]

_ZEROES = bytes(CHUNK_BYTES)


class SparseDisk:
    """A disk; safe to use from many threads.

    :param size_bytes: how long it is
    :param meter: counts the room that its chunks take up; None: one of its own
    :param backing: keeps its bytes beyond the process
    :param name: by which the backing knows it
    :raises InvalidInput: a negative size
    """

    def __init__(
        self, size_bytes: int, meter: Meter | None = None, backing: Backing | None = None, name: str = ""
    ) -> None:
        if size_bytes < 0:
            raise InvalidInput("size_bytes", size_bytes, "give 0 or more")
        self.name = name
        self.meter = meter or Meter()
        self._size_bytes = size_bytes
        self._backing = backing
        self._tables: dict[int, Table] = {}
        self._owner = object()
        self._lock = threading.RLock()

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return self._size_bytes

    @property
    def allocated_bytes(self) -> int:
        """The room that its chunks take up, those that it shares included."""
        with self._lock:
            return CHUNK_BYTES * sum(len(table.chunks) for table in self._tables.values())

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes there.

        :raises InvalidInput: beyond the end
        """
        with self._lock:
            check_range(self, offset, length)
            if length == CHUNK_BYTES and not offset % CHUNK_BYTES:
                data = self._content(offset // CHUNK_BYTES)
                return _ZEROES if data is None else bytes(data)
            pieces: list[Buffer] = []
            for index, within, piece in whole_chunks(offset, length):
                data = self._content(index)
                pieces.append(memoryview(_ZEROES if data is None else data)[within : within + piece])
            return b"".join(pieces)

    def write(self, offset: int, data: Buffer) -> None:
        """Put bytes there.

        :raises InvalidInput: beyond the end
        :raises PoolFull: no room is left; what came before has been written
        """
        view = memoryview(data).cast("B")
        with self._lock:
            check_range(self, offset, len(view))
            done = 0
            for index, within, piece in whole_chunks(offset, len(view)):
                if piece < CHUNK_BYTES:
                    self._change(index, within, view[done : done + piece])
                elif isinstance(data, bytes) and len(data) == CHUNK_BYTES:
                    self._put(index, data)
                else:
                    self._put(index, bytes(view[done : done + piece]))
                done += piece

    def discard(self, offset: int, length: int) -> None:
        """Let the bytes there be zero, and give back the chunks that lie wholly in that range.

        :raises InvalidInput: beyond the end
        """
        with self._lock:
            check_range(self, offset, length)
            if not length:
                return
            end = offset + length
            first, last = -(-offset // CHUNK_BYTES), end // CHUNK_BYTES
            if end == self._size_bytes:
                last = -(-end // CHUNK_BYTES)
            if last > first:
                self._drop(first, last - 1)
            for index in {offset // CHUNK_BYTES, (end - 1) // CHUNK_BYTES}:
                if not first <= index < last and self._find(index) is not None:
                    start = max(offset, index * CHUNK_BYTES)
                    piece = min(end, (index + 1) * CHUNK_BYTES) - start
                    self._change(index, start % CHUNK_BYTES, memoryview(_ZEROES)[:piece])

    def resize(self, size_bytes: int) -> None:
        """Make the disk longer, with zeroes, or shorter; what lay beyond the new end is gone.

        :raises InvalidInput: a negative size
        """
        if size_bytes < 0:
            raise InvalidInput("size_bytes", size_bytes, "give 0 or more")
        with self._lock:
            if size_bytes < self._size_bytes:
                self.discard(size_bytes, self._size_bytes - size_bytes)
            self._size_bytes = size_bytes

    def clone(self, name: str = "", meter: Meter | None = None) -> SparseDisk:
        """Return another disk of the same content, which shares every chunk until either is written to.

        :param name: by which the backing knows it
        :param meter: counts what it writes; None: this disk's
        """
        with self._lock:
            other = SparseDisk(self._size_bytes, meter or self.meter, self._backing, name)
            if self._backing is not None:
                self._backing.share(self.name, name)
            other._tables = self._tables.copy()
            # Nobody owns the tables from here on.
            self._owner = object()
        return other

    def adopt(self, other: SparseDisk) -> None:
        """Take the content and size of another in place of its own; both share the chunks."""
        with other._lock, self._lock:
            if self._backing is not None:
                self._backing.share(other.name, self.name)
            tables, size_bytes = other._tables.copy(), other._size_bytes
            other._owner = object()
            self._tables, self._size_bytes, self._owner = tables, size_bytes, object()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody else read or write meanwhile."""
        with self._lock:
            yield

    def release(self) -> None:
        """Give back what it takes up here, whoever still refers to it; what the backing has stays there."""
        with self._lock:
            self._tables = {}

    def restore(self, chunks: Iterator[tuple[int, Chunk]]) -> None:
        """Take the chunks that the backing has of it, by number; they may be shared."""
        with self._lock:
            for index, chunk in chunks:
                number, place = divmod(index, TABLE_CHUNKS)
                self._tables.setdefault(number, Table(None)).chunks[place] = chunk

    def flush(self) -> None:
        """Do nothing: what a write has done is where it belongs when it returns."""

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield offset and length of what takes up room in a range, or anywhere, in order, neighbours in one."""
        limit = self._size_bytes if length is None else min(offset + length, self._size_bytes)
        start = end = -1
        for index in self._indices(offset // CHUNK_BYTES, -(-limit // CHUNK_BYTES)):
            if index != end:
                if end > start:
                    yield _clipped(start, end, offset, limit)
                start = index
            end = index + 1
        if end > start:
            yield _clipped(start, end, offset, limit)

    def _indices(self, first: int, stop: int) -> list[int]:
        """Return the numbers of the chunks that there are from `first` on and before `stop`."""
        with self._lock:
            numbers = range(first // TABLE_CHUNKS, -(-stop // TABLE_CHUNKS))
            if len(numbers) > len(self._tables):
                tables = sorted(number for number in self._tables if number in numbers)
            else:
                tables = [number for number in numbers if number in self._tables]
            if stop - first < TABLE_CHUNKS // 16:
                # A short range, as a client asks for: not worth sorting all that lies around it.
                return [index for index in range(first, stop) if self._find(index) is not None]
            found = [
                number * TABLE_CHUNKS + place for number in tables for place in sorted(self._tables[number].chunks)
            ]
            return [index for index in found if first <= index < stop]

    def digest(self) -> str:
        """Return a hexadecimal digest of size and content; see :func:`digest`."""
        return digest(self)

    def _find(self, index: int) -> Chunk | None:
        table = self._tables.get(index // TABLE_CHUNKS)
        return None if table is None else table.chunks.get(index % TABLE_CHUNKS)

    def _content(self, index: int) -> bytes | bytearray | None:
        chunk = self._find(index)
        return None if chunk is None else self._data(chunk)

    def _data(self, chunk: Chunk) -> bytes | bytearray:
        data = chunk.data
        if data is None:
            assert self._backing is not None
            assert chunk.key is not None
            data = chunk.data = self._backing.load(chunk.key)
        return data

    def _own_table(self, number: int) -> Table:
        """Return a table that may be changed."""
        table = self._tables.get(number)
        if table is None or table.owner is not self._owner:
            table = Table(self._owner, None if table is None else table.chunks.copy())
            self._tables[number] = table
        return table

    def _put(self, index: int, data: bytes | bytearray) -> None:
        """Let the disk have a whole chunk."""
        number, place = divmod(index, TABLE_CHUNKS)
        table = self._own_table(number)
        chunk = table.chunks[place] if place in table.own else Chunk(data, self.meter)
        if self._backing is not None:
            chunk.key = self._backing.put(self.name, index, data)
        chunk.data = data
        table.chunks[place] = chunk
        table.own.add(place)

    def _change(self, index: int, within: int, piece: memoryview) -> None:
        """Change part of a chunk; one that is shared, or not there, is made this disk's own first."""
        number, place = divmod(index, TABLE_CHUNKS)
        table = self._own_table(number)
        if place not in table.own:
            shared = table.chunks.get(place)
            data = bytearray(CHUNK_BYTES) if shared is None else bytearray(self._data(shared))
            data[within : within + len(piece)] = piece
            self._put(index, data)
            return
        chunk = table.chunks[place]
        changed = self._data(chunk)
        if not isinstance(changed, bytearray):
            changed = bytearray(changed)
        if self._backing is not None:
            assert chunk.key is not None
            self._backing.overwrite(chunk.key, within, piece)
        changed[within : within + len(piece)] = piece
        chunk.data = changed

    def _drop(self, first: int, last: int) -> None:
        if self._backing is not None:
            self._backing.drop(self.name, first, last)
        for number in [one for one in self._tables if first // TABLE_CHUNKS <= one <= last // TABLE_CHUNKS]:
            base = number * TABLE_CHUNKS
            if first <= base and last >= base + TABLE_CHUNKS - 1:
                del self._tables[number]
                continue
            if any(first <= base + place <= last for place in self._tables[number].chunks):
                table = self._own_table(number)
                for place in [one for one in table.chunks if first <= base + one <= last]:
                    del table.chunks[place]
                    table.own.discard(place)


def _clipped(start: int, end: int, offset: int, limit: int) -> tuple[int, int]:
    begin = max(start * CHUNK_BYTES, offset)
    return begin, min(end * CHUNK_BYTES, limit) - begin


def digest(medium: Medium) -> str:
    """Return a hexadecimal digest of a medium's size and content.

    Two of the same size and bytes have the same, however they were written: chunks that are all zero count as holes.
    """
    whole = hashlib.sha256(medium.size_bytes.to_bytes(8, "big"))
    latest = -1
    for offset, length in medium.extents():
        for index, _within, _piece in whole_chunks(offset, length):
            if index == latest:
                continue
            latest = index
            start = index * CHUNK_BYTES
            data = medium.read(start, min(CHUNK_BYTES, medium.size_bytes - start))
            if data != _ZEROES[: len(data)]:
                whole.update(index.to_bytes(8, "big") + hashlib.sha256(data).digest())
    return whole.hexdigest()
