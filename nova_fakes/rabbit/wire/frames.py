"""Frames: their kinds, how they are written, and what is said of those that are wrong."""

from __future__ import annotations

import struct

from nova_fakes.rabbit import erlang
from nova_fakes.rabbit.errors import HardError

__all__ = ["FRAME_END", "FRAME_OVERHEAD", "HEAD", "FrameKind", "frame", "frame_error", "unexpected_frame"]

FRAME_END = b"\xce"
FRAME_OVERHEAD = 8
#: Kind, channel and size.
HEAD = struct.Struct(">BHI")
SNIPPET = 16


class FrameKind:
    """The kinds of frames."""

    METHOD = 1
    HEADER = 2
    BODY = 3
    HEARTBEAT = 8


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Write a frame."""
    return HEAD.pack(kind, channel, len(payload)) + payload + FRAME_END


def frame_error(kind: int, payload: bytes, *what: str | int) -> HardError:
    """Make the error for a frame that cannot be read.

    :param what: an atom, or the elements of a tuple, as Erlang prints them
    """
    begin = f"type {kind}, {_snippet(payload)}: "
    shown = str(what[0]) if len(what) == 1 else erlang.tuple_at(len(begin), *what)
    return HardError("FRAME_ERROR", begin + shown, (0, 0))


def unexpected_frame(kind: int, payload: bytes) -> HardError:
    """Make the error for a frame that has no place here."""
    return HardError("UNEXPECTED_FRAME", f"type {kind}, {_snippet(payload)}", (0, 0))


def _snippet(payload: bytes) -> str:
    which = "all" if len(payload) <= SNIPPET else "first 16"
    return f"{which} octets = {erlang.binary(payload[:SNIPPET])}"
