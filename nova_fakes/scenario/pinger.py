"""The process that pings from inside an instance: ``python -m nova_fakes.scenario.pinger STATE INSTANCE``.

Started by `nova_fakes.scenario.probes.Prober`. Reads one JSON line from its standard input: the addresses, and how to
ping them. Writes one JSON line an address. Without a count it writes "replying" when the first reply has come, and goes
on until its standard input is closed, by its parent or by its parent's end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nova_fakes.exceptions import NovaFakesError, ProbeFailed
from nova_fakes.sandbox.client import Client
from nova_fakes.virt.vif.ping import Pinger, PingResult

__all__ = ["main"]

# The namespace that the process has joined, by the name that holds for each of its threads.
_HERE = "/proc/thread-self/ns/net"
# How many timeouts to wait for the first reply of an endless series.
PATIENCE = 10


def main(argv: list[str]) -> int:
    """Join the instance's namespace, do what the request says, and return the exit status."""
    request = json.loads(sys.stdin.readline())
    try:
        Client(Path(argv[1])).enter(argv[2])
        if request["count"] is None:
            _until_told(request)
        else:
            _counted(request)
    except (NovaFakesError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _counted(request: Mapping[str, Any]) -> None:
    """Ping all addresses side by side."""
    pingers = [_pinger(address, request) for address in request["addresses"]]
    for pinger in pingers:
        _write(pinger.wait())


def _until_told(request: Mapping[str, Any]) -> None:
    (address,) = request["addresses"]
    with _pinger(address, request) as pinger:
        if not pinger.wait_for_reply(PATIENCE * request["timeout_s"]):
            raise ProbeFailed(f"no reply from {address} within {PATIENCE * request['timeout_s']:g} s")
        print("replying", flush=True)
        sys.stdin.read()
        _write(pinger.stop())


def _pinger(address: str, request: Mapping[str, Any]) -> Pinger:
    return Pinger(
        _HERE, address, count=request["count"], interval_s=request["interval_s"], timeout_s=request["timeout_s"]
    )


def _write(result: PingResult) -> None:
    rtts_ms = [round(round_trip_s * 1000, 4) for round_trip_s in result.round_trips_s]
    print(json.dumps({"address": result.destination, "sent": result.sent, "rtts_ms": rtts_ms}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
