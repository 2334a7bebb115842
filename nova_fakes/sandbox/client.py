"""Talks to a running sandbox; imports neither nova nor Flask."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import select
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from nova_fakes import exceptions
from nova_fakes.exceptions import NotRunning, SandboxError
from nova_fakes.sandbox.logs import ServiceLogs
from nova_fakes.sandbox.state import StateDirectory
from nova_fakes.virt.hang import DEFAULT_DEADLINE_S
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.ledger import Entry, Ledger

__all__ = ["Client"]

_TIMEOUT_S = 60.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """The commands of ``nova-fakes`` on a running sandbox.

    Every method raises :class:`~nova_fakes.exceptions.NotRunning` when no daemon listens on the state directory.

    :param state: the sandbox's state directory
    """

    def __init__(self, state: Path) -> None:
        self.state = StateDirectory(state)

    def status(self) -> dict[str, Any]:
        """Return the daemon's process, URL, services, hosts with their guests, and counts of the ledger's entries."""
        return self._request("GET", "/status")

    def instances(self) -> list[dict[str, Any]]:
        """Return uuid, name, project, host, power state, namespace path and VIFs of every guest."""
        return cast(list[dict[str, Any]], self._request("GET", "/instances")["instances"])

    def host_down(self, name: str) -> None:
        """Crash a host.

        :raises HostNotFound: the sandbox has no host of that name
        """
        self._request("POST", f"/hosts/{name}/down")

    def host_hang(self, name: str, deadline_s: float = DEFAULT_DEADLINE_S) -> None:
        """Let a host hang.

        :param deadline_s: how long an operation waits before it fails, seconds
        :raises HostNotFound: the sandbox has no host of that name
        :raises HostDown: it has crashed
        """
        self._request("POST", f"/hosts/{name}/hang", {"deadline_s": deadline_s})

    def host_up(self, name: str) -> None:
        """Bring back a host that has crashed, or hangs.

        :raises HostNotFound: the sandbox has no host of that name
        """
        self._request("POST", f"/hosts/{name}/up")

    def guest_crash(self, uuid: str) -> None:
        """Crash a guest.

        :raises GuestNotFound: the sandbox has no guest of that UUID
        :raises InvalidTransition: it is off
        :raises HostDown: its host is not up
        """
        self._request("POST", f"/instances/{uuid}/crash")

    def read_disk(self, uuid: str, device: str, offset: int, length: int) -> bytes:
        """Return bytes of a guest's volume, as the guest reads them.

        :param device: of the volume, without ``/dev/``
        :raises GuestNotFound: the sandbox has no guest of that UUID
        :raises DeviceNotFound: it has no such volume
        :raises InvalidTransition: it does not run
        """
        answer = self._request("GET", f"/instances/{uuid}/disks/{device}?offset={offset}&length={length}")
        return base64.b64decode(answer["data"])

    def write_disk(self, uuid: str, device: str, offset: int, data: bytes) -> None:
        """Let a guest write to its volume; the same is raised."""
        body = {"offset": offset, "data": base64.b64encode(data).decode()}
        self._request("PUT", f"/instances/{uuid}/disks/{device}", body)

    def add_faults(self, rules: Sequence[Mapping[str, Any]], seed: int | None = None) -> list[dict[str, Any]]:
        """Put fault rules in force, all or none; return them as :meth:`faults` lists them.

        :param rules: as :func:`nova_fakes.virt.fault_file.make_rule` takes them
        :param seed: from which chance is to begin anew; None: it goes on
        :raises SandboxError: a value cannot be used
        """
        made = self._request("POST", "/faults", {"rules": rules, "seed": seed})
        return cast(list[dict[str, Any]], made["faults"])

    def faults(self) -> list[dict[str, Any]]:
        """Return the fault rules in force, numbered from 1."""
        return cast(list[dict[str, Any]], self._request("GET", "/faults")["faults"])

    def remove_fault(self, number: int) -> None:
        """Take a fault rule out of force.

        :raises NotFound: there is none of that number
        """
        self._request("DELETE", f"/faults/{number}")

    def clear_faults(self) -> None:
        """Take every fault rule out of force."""
        self._request("DELETE", "/faults")

    def events_after(
        self,
        number: int,
        *,
        host: str | None = None,
        guest: str | None = None,
        operation: str | None = None,
        since_s: float | None = None,
        count: int | None = None,
    ) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of the latest event, and what happened after that `number`, oldest first.

        :param number: 0, or what was returned before
        :param guest: UUID
        :param since_s: only events of this time and later, seconds since the epoch
        :param count: only so many, the latest
        """
        values = {
            "after": number,
            "host": host,
            "guest": guest,
            "operation": operation,
            "since": since_s,
            "count": count,
        }
        query = urlencode({name: value for name, value in values.items() if value is not None})
        found = self._request("GET", f"/events?{query}")
        return found["latest"], found["events"]

    def down(self, timeout_s: float = 60.0) -> None:
        """Stop the sandbox; returns when its process has ended and removed what it made.

        :raises SandboxError: when the process has not ended after ``timeout_s``
        """
        pid = int(self.status()["pid"])
        process = os.pidfd_open(pid)
        try:
            self._request("POST", "/down")
            if not wait_for_end(process, timeout_s):
                raise SandboxError(
                    f"the sandbox's process {pid} has not ended within {timeout_s:.0f} s: "
                    f"see {self.state.daemon_log}; 'kill -9 {pid}' and 'nova-fakes cleanup' end it for certain"
                )
            with contextlib.suppress(ChildProcessError):  # it is another process's child, if anybody's
                os.waitid(os.P_PIDFD, process, os.WEXITED)
        finally:
            os.close(process)

    def environment(self) -> dict[str, str]:
        """Return the variables that point OpenStack clients at the sandbox."""
        return {"OS_CLIENT_CONFIG_FILE": str(self.state.clouds), "OS_CLOUD": "nova-fakes"}

    def log_names(self) -> list[str]:
        """Return the names that :meth:`log_path` knows."""
        own = (path.name.removesuffix(".log") for path in self.state.logs.glob("*.log"))
        return sorted({*ServiceLogs.names(), *own})

    def log_path(self, service: str) -> Path:
        """Return the path of a service's log.

        :raises NotFound: naming the services that there are
        """
        if service not in self.log_names():
            raise exceptions.NotFound(f"no service {service!r} has a log: there are {', '.join(self.log_names())}")
        return ServiceLogs(self.state.logs).path(service)

    def ledger(self) -> list[Entry]:
        """Return what the sandbox has made outside its state directory and not yet removed."""
        return list(Ledger.read(self.state.ledger))

    def enter(self, instance: str) -> None:
        """Move the calling process into an instance's network namespace; it must have one thread.

        :param instance: uuid
        :raises GuestNotFound: the sandbox has no such instance
        :raises NotFound: the instance has no namespace, since the sandbox runs without networking
        """
        found = next((row for row in self.instances() if row["uuid"] == instance), None)
        if found is None:
            raise exceptions.GuestNotFound(f"instance {instance!r} is on no host of this sandbox")
        if found["namespace"] is None:
            raise exceptions.NotFound(
                f"instance {instance!r} has no network namespace: start the sandbox with --realizer bridge"
            )
        namespaces.join(int(self.status()["pid"]))
        namespaces.enter(found["namespace"])

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        connection = _UnixConnection(self.state.control_socket)
        try:
            try:
                if body is None:
                    connection.request(method, path)
                else:
                    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
                raise NotRunning(
                    f"no sandbox runs on {self.state.root}: "
                    "start one with 'nova-fakes up', or name its directory with --state"
                ) from error
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise _error(response.status, answer)
        return cast(dict[str, Any], json.loads(answer)) if answer else {}


def _error(status: int, body: bytes) -> exceptions.NovaFakesError:
    """Return the daemon's own exception where it sent one."""
    try:
        error = json.loads(body)["error"]
        kind = getattr(exceptions, error["type"], SandboxError)
        message = error["message"]
    except (ValueError, KeyError, TypeError):
        kind, message = SandboxError, f"the sandbox answered {status}: {body[:200].decode(errors='replace')}"
    if not issubclass(kind, exceptions.NovaFakesError) or issubclass(kind, exceptions.InvalidInput):
        kind = SandboxError
    return cast(exceptions.NovaFakesError, kind(message))


def wait_for_end(pidfd: int, timeout_s: float) -> bool:
    """Wait until the process of a pidfd has ended; return whether it has."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(int(timeout_s * 1000)))
