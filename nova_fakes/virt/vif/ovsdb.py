"""Open vSwitch's database over its unix socket: many changes in one transaction, waited for once.

JSON-RPC as of RFC 7047. A connection serves one burst and is closed: the server drops clients that are idle and do not
answer its probes, and connecting costs less than 0.1 ms. ovs-vswitchd says which changes it has applied in
``cur_cfg`` of the table Open_vSwitch (ovs-vswitchd.conf.db(5)); `Connection.commit` waits for that.
"""

import _socket
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nova_fakes.exceptions import OvsdbRefused, OvsdbUnavailable

__all__ = ["Connection", "Operation", "decode_map", "decode_set", "encode_map", "encode_set", "equal"]

#: One operation of a transaction, RFC 7047 §5.2.
Operation = dict[str, Any]

DATABASE = "Open_vSwitch"
#: Seconds for a whole transaction, ovs-vswitchd's part included.
DEFAULT_DEADLINE_S = 30.0
_RECEIVE_BYTES = 1 << 18
#: ``sun_path`` holds 108 bytes, the last of which is NUL.
_MAX_SOCKET_PATH = 107
_DECODER = json.JSONDecoder()
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class Connection:
    """A connection to a database server; a context manager. For one thread at a time.

    :param path: the server's unix socket
    :param deadline_s: seconds that each `transact` and each `commit` may take
    :raises OvsdbUnavailable: nobody listens there
    """

    def __init__(self, path: str | os.PathLike[str], *, deadline_s: float = DEFAULT_DEADLINE_S) -> None:
        self.path = Path(path)
        self._deadline_s = deadline_s
        self._number = 0
        self._buffer = b""
        self._socket = _socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(deadline_s)
        try:
            _connect(self._socket, self.path)
        except OSError as error:
            self._socket.close()
            raise OvsdbUnavailable(f"no database answers at {path}: {error}; is ovsdb-server running?") from error

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def transact(self, operations: Sequence[Operation]) -> list[dict[str, Any]]:
        """Do the operations as one transaction and return the result of each.

        :raises OvsdbRefused: one was refused; nothing was done
        :raises OvsdbUnavailable: no answer before the deadline
        """
        return self._transact(operations, time.monotonic() + self._deadline_s)

    def commit(self, operations: Sequence[Operation]) -> list[dict[str, Any]]:
        """Do the operations as one transaction, and wait until ovs-vswitchd has applied it.

        :raises OvsdbRefused: one was refused; nothing was done
        :raises OvsdbUnavailable: the deadline passed; the transaction may stand
        """
        deadline = time.monotonic() + self._deadline_s
        count = {"op": "mutate", "table": DATABASE, "where": [], "mutations": [["next_cfg", "+=", 1]]}
        *results, _mutated, counted = self._transact([*operations, count, _select(DATABASE, [], "next_cfg")], deadline)
        number = counted["rows"][0]["next_cfg"]
        remaining_ms = max(1, int((deadline - time.monotonic()) * 1000))
        applied = {
            "op": "wait",
            "table": DATABASE,
            "timeout": remaining_ms,
            "where": [["cur_cfg", ">=", number]],
            "columns": ["cur_cfg"],
            "until": "!=",
            "rows": [],
        }
        try:
            self._transact([applied], deadline + 1)
        except OvsdbRefused as error:
            if error.error != "timed out":
                raise
            raise OvsdbUnavailable(
                f"ovs-vswitchd has not applied a change within {self._deadline_s} s; is it running?"
            ) from error
        return results

    def select(self, table: str, where: list[list[object]], *columns: str) -> list[dict[str, Any]]:
        """Return these columns of the rows that meet all the conditions."""
        return list(self.transact([_select(table, where, *columns)])[0]["rows"])

    def _transact(self, operations: Sequence[Operation], deadline: float) -> list[dict[str, Any]]:
        answer = self._request("transact", [DATABASE, *operations], deadline)
        results: list[dict[str, Any] | None] = answer
        # An error at commit follows the operations' own results, which then hold nothing (RFC 7047 §4.1.3).
        for result in results:
            if result is not None and "error" in result:
                raise OvsdbRefused(str(result["error"]), str(result.get("details", "")))
        return [result or {} for result in results]

    def _request(self, method: str, parameters: list[Any], deadline: float) -> Any:
        self._number += 1
        request = {"method": method, "params": parameters, "id": self._number}
        try:
            self._send(request, deadline)
            while True:
                message = self._receive(deadline)
                if message.get("method") == "echo":
                    self._send({"result": message["params"], "error": None, "id": message["id"]}, deadline)
                elif message.get("id") == self._number:
                    break
        except TimeoutError as error:
            raise OvsdbUnavailable(
                f"the database at {self.path} has not answered within {self._deadline_s} s"
            ) from error
        except (OSError, ValueError) as error:
            raise OvsdbUnavailable(f"the connection to the database at {self.path} broke: {error}") from error
        if message.get("error"):
            problem = message["error"]
            known = problem if isinstance(problem, dict) else {"error": str(problem)}
            raise OvsdbRefused(str(known.get("error")), str(known.get("details", "")))
        return message["result"]

    def _send(self, message: Mapping[str, Any], deadline: float) -> None:
        self._socket.settimeout(_remaining(deadline))
        self._socket.sendall(_ENCODER.encode(message).encode())

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next whole message; they follow each other without a separator."""
        while True:
            if self._buffer.rstrip().endswith(b"}"):
                text = self._buffer.decode()
                try:
                    message, end = _DECODER.raw_decode(text.lstrip())
                except ValueError:
                    pass  # not whole yet
                else:
                    self._buffer = text.lstrip()[end:].encode()
                    if not isinstance(message, dict):
                        raise ValueError(f"{message!r} is no message")
                    return message
            self._socket.settimeout(_remaining(deadline))
            received = self._socket.recv(_RECEIVE_BYTES)
            if not received:
                raise ConnectionResetError("the server closed it")
            self._buffer += received


def equal(column: str, value: object) -> list[list[object]]:
    """Write the condition that a column has a value."""
    return [[column, "==", value]]


def encode_map(pairs: Mapping[str, str]) -> list[object]:
    """Write a map as RFC 7047 §5.1 has it."""
    return ["map", [[key, value] for key, value in pairs.items()]]


def decode_map(value: Sequence[Any]) -> dict[str, str]:
    """Read a map."""
    return {str(key): str(entry) for key, entry in value[1]}


def encode_set(values: Sequence[object]) -> list[object]:
    """Write a set."""
    return ["set", list(values)]


def decode_set(value: Any) -> list[Any]:
    """Read a set, which the server writes as the bare value where it has one."""
    return list(value[1]) if isinstance(value, list) and value[0] == "set" else [value]


def _select(table: str, where: list[list[object]], *columns: str) -> Operation:
    return {"op": "select", "table": table, "where": where, "columns": list(columns)}


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("the deadline has passed")
    return remaining


def _connect(sock: _socket.socket, path: Path) -> None:
    """Connect, also where the path is too long for a socket address."""
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        sock.connect(str(path))
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
