"""Pings from inside instances, each sent by a process of its own.

Joining a user namespace is for single-threaded processes only (setns(2)), and a process cannot come back from it. So
each measurement has a fresh interpreter (`nova_fakes.scenario.pinger`), which ends with its parent: its standard input
closes then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from nova_fakes.exceptions import ProbeFailed

__all__ = ["Echoes", "Prober", "Watch"]


@dataclass(frozen=True, slots=True)
class Echoes:
    """What came of a series of echo requests to one address.

    :param rtts_ms: round-trip time of each reply, in milliseconds, in order of arrival
    """

    address: str
    sent: int
    received: int
    lost: int
    rtts_ms: tuple[float, ...]

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Echoes:
        """Return the echoes that the pinger wrote as a JSON object."""
        rtts = tuple(data["rtts_ms"])
        return cls(data["address"], data["sent"], len(rtts), data["sent"] - len(rtts), rtts)

    @property
    def mean_ms(self) -> float | None:
        """Mean round-trip time in milliseconds; None where nothing was received."""
        return sum(self.rtts_ms) / len(self.rtts_ms) if self.rtts_ms else None


class Prober:
    """Pings from inside the instances of one sandbox.

    :param state: the sandbox's state directory
    """

    def __init__(self, state: Path) -> None:
        self._state = state

    def ping(
        self, instance: str, addresses: Sequence[str], *, count: int, interval_s: float, timeout_s: float
    ) -> list[Echoes]:
        """Send `count` echo requests from an instance (its uuid) to each address; return one result for each.

        Raises ProbeFailed where the instance's namespace could not be joined or the address be used.
        """
        request = {"addresses": list(addresses), "count": count, "interval_s": interval_s, "timeout_s": timeout_s}
        process = self._start(instance, request)
        output, errors = process.communicate()
        if process.returncode != 0:
            raise ProbeFailed(f"pinging from instance {instance} failed: {_last_line(errors)}")
        return [Echoes.from_mapping(json.loads(line)) for line in output.splitlines()]

    def watch(self, instance: str, address: str, *, interval_s: float, timeout_s: float) -> Watch:
        """Ping an address until told to stop; returns when the first reply has come.

        Raises ProbeFailed where none comes within the pinger's patience of ten timeouts.
        """
        request = {"addresses": [address], "count": None, "interval_s": interval_s, "timeout_s": timeout_s}
        process = self._start(instance, request)
        assert process.stdout is not None
        if process.stdout.readline().strip() != "replying":
            _, errors = process.communicate()
            raise ProbeFailed(f"pinging {address} from instance {instance} failed: {_last_line(errors)}")
        return Watch(instance, address, process)

    def _start(self, instance: str, request: Mapping[str, Any]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "nova_fakes.scenario.pinger", str(self._state), instance],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is the parent's: it decides what is still to be told of.
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return process


class Watch:
    """A ping that goes on while something else happens. Use it in a `with`, so that it ends in any case."""

    def __init__(self, instance: str, address: str, process: subprocess.Popen[str]) -> None:
        self._instance = instance
        self._address = address
        self._process = process

    def stop(self) -> Echoes:
        """End the series, wait for the last replies and return the result."""
        output, errors = self._process.communicate()
        if self._process.returncode != 0:
            message = f"pinging {self._address} from instance {self._instance} failed: {_last_line(errors)}"
            raise ProbeFailed(message)
        return Echoes.from_mapping(json.loads(output))

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def _last_line(errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else "it told no reason"
