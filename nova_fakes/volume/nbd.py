"""The words of the NBD protocol (the project's ``doc/proto.md``): numbers, and how they lie in bytes."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

__all__ = [
    "ALLOCATION",
    "CLIENT_FLAGS",
    "GREETING",
    "MAX_REQUEST_BYTES",
    "OPTION",
    "OPTION_MAGIC",
    "REQUEST",
    "REQUEST_MAGIC",
    "Chunk",
    "Command",
    "CommandFlag",
    "Error",
    "Extent",
    "Info",
    "Option",
    "Reply",
    "Request",
    "TransmissionFlag",
    "option_reply",
    "simple_reply",
    "structured_reply",
]

OPTION_MAGIC = 0x49484156454F5054
REQUEST_MAGIC = 0x25609513
_NBD_MAGIC = 0x4E42444D41474943
_OPTION_REPLY_MAGIC = 0x0003E889045565A9
_SIMPLE_MAGIC = 0x67446698
_STRUCTURED_MAGIC = 0x668E33EF

#: Fixed newstyle, no zeroes after an export: what server and client both know.
CLIENT_FLAGS = 0b11
GREETING = struct.pack(">QQH", _NBD_MAGIC, OPTION_MAGIC, CLIENT_FLAGS)
OPTION = struct.Struct(">QII")
REQUEST = struct.Struct(">IHHQQI")
#: What every client may ask for at once.
MAX_REQUEST_BYTES = 32 << 20
#: The one metadata context that there is.
ALLOCATION = "base:allocation"


class Option(IntEnum):
    """What a client asks for before it chooses an export."""

    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    STARTTLS = 5
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10


class Reply(IntEnum):
    """What it is answered."""

    ACK = 1
    SERVER = 2
    INFO = 3
    META_CONTEXT = 4
    UNSUPPORTED = (1 << 31) + 1
    INVALID = (1 << 31) + 3
    UNKNOWN = (1 << 31) + 6
    TOO_BIG = (1 << 31) + 9


class Info(IntEnum):
    """What a client may be told of an export."""

    EXPORT = 0
    NAME = 1
    DESCRIPTION = 2
    BLOCK_SIZE = 3


class TransmissionFlag(IntFlag):
    """What an export is capable of."""

    HAS_FLAGS = 1
    READ_ONLY = 2
    SEND_FLUSH = 4
    SEND_FUA = 8
    SEND_TRIM = 32
    SEND_WRITE_ZEROES = 64
    SEND_DF = 128
    CAN_MULTI_CONN = 256
    SEND_CACHE = 1024


class Command(IntEnum):
    """What a client asks of an export."""

    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3
    TRIM = 4
    CACHE = 5
    WRITE_ZEROES = 6
    BLOCK_STATUS = 7


class CommandFlag(IntFlag):
    """How it is to be done."""

    FUA = 1
    NO_HOLE = 2
    DF = 4
    REQ_ONE = 8


class Chunk(IntEnum):
    """Parts of a structured reply."""

    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    ERROR = (1 << 15) + 1


class Error(IntEnum):
    """Errors on the wire: Linux's numbers, a few of them."""

    EPERM = 1
    EIO = 5
    ENOMEM = 12
    EINVAL = 22
    ENOSPC = 28
    EOVERFLOW = 75
    ENOTSUP = 95
    ESHUTDOWN = 108


class Extent(IntFlag):
    """What ``base:allocation`` says of a range."""

    HOLE = 1
    ZERO = 2


class Request(NamedTuple):
    """One request of a client."""

    flags: int
    command: int
    cookie: int
    offset: int
    length: int


def option_reply(option: int, reply: Reply, data: bytes = b"") -> bytes:
    """Return the answer to an option."""
    return struct.pack(">QIII", _OPTION_REPLY_MAGIC, option, reply, len(data)) + data


def simple_reply(cookie: int, error: int = 0) -> bytes:
    """Return the head of a simple reply; what was read follows it."""
    return struct.pack(">IIQ", _SIMPLE_MAGIC, error, cookie)


def structured_reply(cookie: int, chunk: Chunk, length: int, *, done: bool) -> bytes:
    """Return the head of one part of a structured reply."""
    return struct.pack(">IHHQI", _STRUCTURED_MAGIC, 1 if done else 0, chunk, cookie, length)
