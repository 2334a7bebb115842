"""The audit log: who had what changed, and what came of it, as a JSON object a line.

Lines are in the order in which the changes were made, which is what lets `replay` make them again.
"""

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nova_fakes.agent import calls, failures, protocol
from nova_fakes.agent.peers import Peer
from nova_fakes.exceptions import InvalidInput

__all__ = ["Audit", "Record", "read"]

#: More than a line has: it holds one request at the most.
_LONGEST_LINE_BYTES = 2 * calls.MAX_BODY_BYTES
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Record:
    """A line that can be made again: when it was done (seconds since the epoch), and the kind of error or None."""

    at: float
    request: protocol.Request
    error: str | None


class Audit:
    """Writes the log; to nowhere where `path` is None.

    :param clock: tells the seconds since the epoch
    :raises InvalidInput: the file cannot be written
    """

    def __init__(self, path: str | os.PathLike[str] | None, clock: Callable[[], float] = time.time) -> None:
        self._path = None if path is None else Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._fd: int | None = None
        #: How many lines could not be written.
        self.lost = 0
        self.reopen()

    def reopen(self) -> None:
        """Open the file anew, after it was moved away.

        :raises InvalidInput: it cannot be written
        """
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidInput("audit", str(self._path), f"{error.strerror}; name a file that can be written") from None
        with self._lock:
            old, self._fd = self._fd, fresh
            self._cut_torn_line(fresh)
        if old is not None:
            os.close(old)

    def _cut_torn_line(self, fd: int) -> None:
        """Cut off what an agent that died had written of a line: the next line would go on with it."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return
        with open(f"/proc/self/fd/{fd}", "rb") as log:
            log.seek(max(0, status.st_size - _LONGEST_LINE_BYTES))
            torn = len(log.read().rpartition(b"\n")[2])
        if torn:
            os.ftruncate(fd, status.st_size - torn)

    def change(self, peer: Peer, call: calls.Call, error: Exception | None, took_s: float) -> None:
        """Write down a change that was made, or failed."""
        if self._fd is None:
            return
        verb = call.request.verb
        outcome = None if error is None else failures.encode(error, verb)
        event = "change" if call.request.replayed else "command"
        self._write(
            {"event": event, "id": call.id, "peer": asdict(peer), "verb": verb,
             "arguments": protocol.encode_arguments(call.request), "error": outcome, "took_s": round(took_s, 6)}
        )  # fmt: skip

    def refused(self, peer: Peer, path: str) -> None:
        """Write down that somebody asked who may not."""
        if self._fd is not None:
            self._write({"event": "refused", "peer": asdict(peer), "path": path[:200]})

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            old, self._fd = self._fd, None
        if old is not None:
            os.close(old)

    def _write(self, line: dict[str, Any]) -> None:
        data = (_ENCODE({"at": round(self._clock(), 6), "protocol": protocol.PROTOCOL, **line}) + "\n").encode()
        with self._lock:
            if self._fd is None:
                return
            try:
                written = os.write(self._fd, data)
                if written < len(data):
                    self.lost += 1
                    os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            except OSError:
                self.lost += 1  # a full disk must not take the network away; the metrics tell


def read(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Read the changes of a log, oldest first; a last line without its end is left out.

    :raises InvalidInput: the file cannot be read, or a line is none of an audit log
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise InvalidInput("audit", str(path), f"{error.strerror}; name an audit log") from None
    for number, raw in enumerate(lines[:-1], start=1):
        try:
            line = calls.load_json(raw)
            if line["event"] != "change":
                continue
            request = protocol.decode_arguments(line["verb"], _arguments(line))
            if not (request.changes and request.replayed):
                # Nobody but an agent writes these lines, and it writes none of these as changes.
                raise InvalidInput("verb", request.verb, "it is no change that is made again")
            outcome = line["error"]
            record = Record(float(line["at"]), request, None if outcome is None else str(outcome["kind"]))
        except (InvalidInput, LookupError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"line {number} of {path}", ascii(raw[:80]), f"it is none of an audit log ({error})"
            ) from None
        yield record


def _arguments(line: dict[str, Any]) -> object:
    if line["protocol"] != protocol.PROTOCOL:
        raise InvalidInput("protocol", line["protocol"], f"this version reads {protocol.PROTOCOL}")
    return line["arguments"]
