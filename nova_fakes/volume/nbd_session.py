"""One client of an NBD server: the handshake, then requests one after another."""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume import nbd
from nova_fakes.volume.errors import DeviceGone, PoolFull, ReadOnly
from nova_fakes.volume.medium import CHUNK_BYTES, Medium, whole_chunks
from nova_fakes.volume.nbd import Chunk, Command, CommandFlag, Error, Extent, Info, Option, Reply, Request

__all__ = ["Export", "Session"]

LOG = logging.getLogger(__name__)

_MAX_OPTION_BYTES = 1 << 16
_FLAGS = nbd.TransmissionFlag
#: Which flags each command takes. A server that announces FUA takes it with every command.
_TAKEN: Mapping[int, int] = {
    **dict.fromkeys(Command, CommandFlag.FUA),
    Command.WRITE_ZEROES: CommandFlag.FUA | CommandFlag.NO_HOLE,
    Command.BLOCK_STATUS: CommandFlag.FUA | CommandFlag.REQ_ONE,
}


@dataclass(frozen=True, slots=True)
class Export:
    """A medium under a name."""

    name: str
    medium: Medium
    read_only: bool = False
    description: str = ""

    def flags(self, structured: bool) -> int:
        """Return what a client is told that it is capable of.

        :param structured: whether its replies are; only these can be asked to be in one piece
        """
        flags = _FLAGS.HAS_FLAGS | _FLAGS.SEND_FLUSH | _FLAGS.SEND_FUA | _FLAGS.SEND_CACHE
        if structured:
            flags |= _FLAGS.SEND_DF
        if self.read_only:
            return flags | _FLAGS.READ_ONLY | _FLAGS.CAN_MULTI_CONN
        # All clients read and write the same medium, which keeps nothing back.
        return flags | _FLAGS.SEND_TRIM | _FLAGS.SEND_WRITE_ZEROES | _FLAGS.CAN_MULTI_CONN


class _Closed(Exception):
    """The client has gone, or said something after which there is nothing to be said."""


class Session:
    """A connection; :meth:`run` returns when it is over.

    :param connection: which the caller closes
    :param exports: those that there are, by name; looked at whenever a client asks
    """

    def __init__(self, connection: socket.socket, exports: Mapping[str, Export]) -> None:
        self._socket = connection
        self._exports = exports
        self._structured = False
        #: Of which export the client has asked for block status.
        self._context_of: str | None = None
        self.export: Export | None = None

    def run(self) -> None:
        """Serve the client until it goes."""
        try:
            export = self.export = self._negotiate()
            # Whoever withdraws an export looks here after it has gone from there.
            while self._exports.get(export.name) is export:
                self._serve(export, self._request())
        except (_Closed, OSError):
            return

    # Handshake

    def _negotiate(self) -> Export:
        self._send(nbd.GREETING)
        (flags,) = struct.unpack(">I", self._receive(4))
        if flags & ~nbd.CLIENT_FLAGS or not flags & 1:
            raise _Closed
        while True:
            magic, option, length = nbd.OPTION.unpack(self._receive(nbd.OPTION.size))
            if magic != nbd.OPTION_MAGIC:
                raise _Closed
            if length > nbd.MAX_REQUEST_BYTES:
                raise _Closed
            data = self._receive(length)
            if length > _MAX_OPTION_BYTES:
                self._send(nbd.option_reply(option, Reply.TOO_BIG, f"give {_MAX_OPTION_BYTES} bytes at most".encode()))
                continue
            if option == Option.ABORT:
                self._send(nbd.option_reply(option, Reply.ACK))
                raise _Closed
            if option == Option.EXPORT_NAME:
                return self._choose(data, padded=not flags & 2)
            answer = self._OPTIONS.get(option)
            if answer is None:
                self._send(nbd.option_reply(option, Reply.UNSUPPORTED))
                continue
            chosen = answer(self, option, data)
            if chosen is not None:
                return chosen

    def _choose(self, data: bytes, *, padded: bool) -> Export:
        """Take the old way into the transmission, which has no answer but the export itself."""
        export = self._exports.get(data.decode(errors="replace"))
        if export is None:
            raise _Closed
        flags = export.flags(self._structured)
        self._send(struct.pack(">QH", export.medium.size_bytes, flags) + bytes(124 if padded else 0))
        return export

    def _list(self, option: int, data: bytes) -> None:
        if data:
            self._send(nbd.option_reply(option, Reply.INVALID, b"it has no data"))
            return
        for export in list(self._exports.values()):
            name = export.name.encode()
            text = struct.pack(">I", len(name)) + name + export.description.encode()
            self._send(nbd.option_reply(option, Reply.SERVER, text))
        self._send(nbd.option_reply(option, Reply.ACK))

    def _info(self, option: int, data: bytes) -> Export | None:
        try:
            name, wanted = _read_info(data)
        except (struct.error, UnicodeDecodeError):
            self._send(nbd.option_reply(option, Reply.INVALID, b"it cannot be read"))
            return None
        export = self._exports.get(name)
        if export is None:
            self._send(nbd.option_reply(option, Reply.UNKNOWN, f"there is no export {name!r}".encode()))
            return None
        for kind, content in _described(export, self._structured).items():
            if kind in (Info.EXPORT, Info.BLOCK_SIZE) or kind in wanted:
                self._send(nbd.option_reply(option, Reply.INFO, struct.pack(">H", kind) + content))
        self._send(nbd.option_reply(option, Reply.ACK))
        return export if option == Option.GO else None

    def _structured_reply(self, option: int, data: bytes) -> None:
        if data:
            self._send(nbd.option_reply(option, Reply.INVALID, b"it has no data"))
            return
        self._structured = True
        self._send(nbd.option_reply(option, Reply.ACK))

    def _meta_context(self, option: int, data: bytes) -> None:
        setting = option == Option.SET_META_CONTEXT
        if setting:
            self._context_of = None
        try:
            name, queries = _read_queries(data)
        except (struct.error, UnicodeDecodeError):
            self._send(nbd.option_reply(option, Reply.INVALID, b"it cannot be read"))
            return
        if not self._structured:
            self._send(nbd.option_reply(option, Reply.INVALID, b"ask for structured replies first"))
            return
        if name not in self._exports:
            self._send(nbd.option_reply(option, Reply.UNKNOWN, f"there is no export {name!r}".encode()))
            return
        if nbd.ALLOCATION in queries or (not setting and (not queries or "base:" in queries)):
            self._send(nbd.option_reply(option, Reply.META_CONTEXT, struct.pack(">I", 1) + nbd.ALLOCATION.encode()))
            if setting:
                self._context_of = name
        self._send(nbd.option_reply(option, Reply.ACK))

    _OPTIONS: Mapping[int, Callable[[Session, int, bytes], Export | None]] = {
        Option.LIST: _list,
        Option.INFO: _info,
        Option.GO: _info,
        Option.STRUCTURED_REPLY: _structured_reply,
        Option.LIST_META_CONTEXT: _meta_context,
        Option.SET_META_CONTEXT: _meta_context,
    }

    # Transmission

    def _request(self) -> Request:
        magic, *values = nbd.REQUEST.unpack(self._receive(nbd.REQUEST.size))
        if magic != nbd.REQUEST_MAGIC:
            raise _Closed
        return Request(*values)

    def _serve(self, export: Export, request: Request) -> None:
        command, medium = request.command, export.medium
        if command == Command.DISCONNECT:
            raise _Closed
        payload = b""
        if command == Command.WRITE:
            if request.length > nbd.MAX_REQUEST_BYTES:
                raise _Closed
            payload = self._receive(request.length)
        try:
            _check(export, request, self._structured)
            if command == Command.READ:
                self._read(medium, request)
                return
            if command == Command.BLOCK_STATUS:
                self._block_status(export, request)
                return
            _act(medium, request, payload)
        except _Closed:
            raise
        except Exception as error:
            self._fail(request, error)
            return
        if self._structured:
            self._send(nbd.structured_reply(request.cookie, Chunk.NONE, 0, done=True))
        else:
            self._send(nbd.simple_reply(request.cookie))

    def _read(self, medium: Medium, request: Request) -> None:
        cookie, offset, length = request.cookie, request.offset, request.length
        if not self._structured:
            data = medium.read(offset, length)
            self._send(nbd.simple_reply(cookie), data)
            return
        whole = bool(request.flags & CommandFlag.DF)
        parts = [(offset, length, False)] if whole else list(_parts(medium, offset, length))
        # All of it is read before anything is sent: who has failed says so first.
        contents = [b"" if hole else medium.read(start, size) for start, size, hole in parts]
        for (start, size, hole), data in zip(parts, contents, strict=True):
            done = start + size == offset + length
            if hole:
                head = nbd.structured_reply(cookie, Chunk.OFFSET_HOLE, 12, done=done)
                self._send(head + struct.pack(">QI", start, size))
            else:
                head = nbd.structured_reply(cookie, Chunk.OFFSET_DATA, 8 + size, done=done)
                self._send(head + struct.pack(">Q", start), data)

    def _block_status(self, export: Export, request: Request) -> None:
        if self._context_of != export.name:
            raise InvalidInput("context", self._context_of, f"ask for {nbd.ALLOCATION} first")
        parts = list(_parts(export.medium, request.offset, request.length))
        if request.flags & CommandFlag.REQ_ONE:
            del parts[1:]
        data = struct.pack(">I", 1) + b"".join(
            struct.pack(">II", size, Extent.HOLE | Extent.ZERO if hole else 0) for _start, size, hole in parts
        )
        self._send(nbd.structured_reply(request.cookie, Chunk.BLOCK_STATUS, len(data), done=True), data)

    def _fail(self, request: Request, failure: Exception) -> None:
        error = _number(failure, request)
        LOG.info("%s at %s+%s fails: %s", request.command, request.offset, request.length, failure)
        if not self._structured:
            self._send(nbd.simple_reply(request.cookie, error))
            return
        message = str(failure).encode()[:4096].decode(errors="ignore").encode()
        data = struct.pack(">IH", error, len(message)) + message
        self._send(nbd.structured_reply(request.cookie, Chunk.ERROR, len(data), done=True), data)

    # Bytes

    def _receive(self, length: int) -> bytes:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            count = self._socket.recv_into(view)
            if not count:
                raise _Closed
            view = view[count:]
        return bytes(data)

    def _send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._socket.sendall(piece)


def _act(medium: Medium, request: Request, payload: bytes) -> None:
    command, offset, length = request.command, request.offset, request.length
    if command == Command.WRITE:
        medium.write(offset, payload)
    elif command == Command.TRIM or (command == Command.WRITE_ZEROES and not request.flags & CommandFlag.NO_HOLE):
        medium.discard(offset, length)
    elif command == Command.WRITE_ZEROES:
        for _index, _within, piece in whole_chunks(offset, length):
            medium.write(offset, bytes(piece))
            offset += piece
    if command == Command.FLUSH or request.flags & CommandFlag.FUA:
        medium.flush()


def _check(export: Export, request: Request, structured: bool) -> None:
    command = request.command
    if command not in _TAKEN:
        raise InvalidInput("command", command, "it is not known here")
    taken = _TAKEN[command] | (CommandFlag.DF if structured and command == Command.READ else 0)
    # The inverse of a flag has none but the known ones.
    if request.flags & ~int(taken):
        raise InvalidInput("flags", request.flags, f"command {command} takes {int(taken)} at most")
    if command == Command.FLUSH:
        return
    if export.read_only and command in (Command.WRITE, Command.TRIM, Command.WRITE_ZEROES):
        raise ReadOnly(f"export {export.name} is read-only")
    if command == Command.READ and request.length > nbd.MAX_REQUEST_BYTES:
        raise InvalidInput("length", request.length, f"ask for {nbd.MAX_REQUEST_BYTES} at most")
    if not request.length or request.offset + request.length > export.medium.size_bytes:
        raise InvalidInput("range", (request.offset, request.length), f"there are {export.medium.size_bytes} bytes")


def _number(failure: Exception, request: Request) -> int:
    """Return the error that a client is told."""
    if isinstance(failure, ReadOnly):
        return Error.EPERM
    if isinstance(failure, DeviceGone):
        return Error.ESHUTDOWN
    if isinstance(failure, PoolFull):
        return Error.ENOSPC
    if isinstance(failure, InvalidInput):
        beyond = failure.field == "range" and request.length
        return Error.ENOSPC if beyond and request.command in (Command.WRITE, Command.WRITE_ZEROES) else Error.EINVAL
    if isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.ENOMEM, errno.EPERM):
        return failure.errno
    return Error.EIO


def _parts(medium: Medium, offset: int, length: int) -> Iterator[tuple[int, int, bool]]:
    """Yield start, size and whether it is a hole for each part of a range, without a gap."""
    position, end = offset, offset + length
    for start, size in medium.extents(offset, length):
        if start > position:
            yield position, start - position, True
        yield start, size, False
        position = start + size
    if position < end:
        yield position, end - position, True


def _described(export: Export, structured: bool) -> dict[int, bytes]:
    return {
        Info.EXPORT: struct.pack(">QH", export.medium.size_bytes, export.flags(structured)),
        Info.NAME: export.name.encode(),
        Info.DESCRIPTION: export.description.encode(),
        Info.BLOCK_SIZE: struct.pack(">III", 1, min(CHUNK_BYTES, 1 << 16), nbd.MAX_REQUEST_BYTES),
    }


def _read_info(data: bytes) -> tuple[str, tuple[int, ...]]:
    name, rest = _read_text(data)
    (count,) = struct.unpack_from(">H", rest)
    wanted = struct.unpack(f">{count}H", rest[2:])
    return name, wanted


def _read_queries(data: bytes) -> tuple[str, list[str]]:
    name, rest = _read_text(data)
    (count,) = struct.unpack_from(">I", rest)
    rest = rest[4:]
    queries = []
    for _ in range(count):
        query, rest = _read_text(rest)
        queries.append(query)
    if rest:
        raise struct.error("there is more than was announced")
    return name, queries


def _read_text(data: bytes) -> tuple[str, bytes]:
    (length,) = struct.unpack_from(">I", data)
    if len(data) < 4 + length:
        raise struct.error("a text is shorter than it says")
    return data[4 : 4 + length].decode(), data[4 + length :]
