"""A sandbox whose nova services and broker are processes of their own, under the daemon's supervision.

The API fakes and placement stay in the daemon, which hands requests for nova's API on. What the processes share is what
services of a real cloud share: the broker, the databases, and the hypervisors' journal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_fakes.exceptions import HostNotFound, InvalidTransition
from nova_fakes.sandbox import config
from nova_fakes.sandbox.cloud import Cloud, describe
from nova_fakes.sandbox.proxy import Proxy
from nova_fakes.sandbox.supervisor import Supervised, require_running
from nova_fakes.virt import fleet_file
from nova_fakes.virt.fleet_file import FleetPlan
from nova_fakes.virt.guest import Guest
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.vif.remote import RemoteRealizer

if TYPE_CHECKING:
    from nova_fakes.sandbox.token_cache import TokenCache, WSGIApplication

__all__ = ["ProcessCloud"]

_POLL_S = 0.1
_FAULTS = "faults come from `up --faults FILE` alone"
_DISKS = "guests' disks cannot be read or written from outside"


class ProcessCloud(Cloud):
    """A broker, nova-api, nova-conductor, nova-scheduler and nova-computes as processes; the rest in this one."""

    def _start_fleet(self) -> None:
        described = self.spec.fleet_file
        self._plan = FleetPlan() if described is None else fleet_file.load(described)
        # The hypervisors are in the nova-computes; what is here reads their journal.
        self.fleet = self._plan.make_fleet(self._clock, Journal(self._state.journal))
        self._cleanup.callback(self.fleet.close)
        self._programs: dict[str, Supervised] = {}
        #: Of each host, as its nova-compute has it.
        self._realizers: dict[str, RemoteRealizer] = {}
        if self.spec.realizer != "null":
            self._step("agent", self._start_agent)
            self._realizers = {host: self._realizer(host) for host in self.spec.hosts}
            for realizer in self._realizers.values():
                self._cleanup.callback(realizer.close)

    def _realizer(self, host: str) -> RemoteRealizer:
        return RemoteRealizer(host, socket=self._state.agent_socket)

    def _start_nova(self) -> None:
        self._cleanup.callback(self._stop_programs)
        self._follow_journal()
        port = self._free_port("rabbit.port")
        self.spec = dataclasses.replace(self.spec, options={**self._own_options(port), **self.spec.options})
        broker = ["-m", "nova_fakes", "rabbit", "serve", "--listen", f"amqp://127.0.0.1:{port}"]
        self._run("rabbit", [sys.executable, *broker, "--persist", str(self._state.root / "rabbit.sqlite")])
        self._step("rabbit", lambda: self._wait("rabbit", lambda: _listens(port)), f"127.0.0.1:{port}")
        super()._start_nova()

    def _own_options(self, port: int) -> dict[str, str]:
        options = {
            "DEFAULT/transport_url": f"rabbit://guest:guest@127.0.0.1:{port}/",
            "DEFAULT/use_stderr": "true",
            "conductor/workers": "1",
            "scheduler/workers": "1",
        }
        if self._realizers:
            options["nova_fakes/vif_realizer"] = "remote"
            options["nova_fakes/vif_realizer_options"] = f"socket:{self._state.agent_socket}"
        files = (("fleet_file", self.spec.fleet_file), ("fault_file", self.spec.fault_file))
        return options | {f"nova_fakes/{name}": str(path) for name, path in files if path is not None}

    def _free_port(self, name: str) -> int:
        """Return a port for what the file of that name remembers, that of the last run where it is free."""
        remembered = self._state.root / name
        wanted = int(remembered.read_text()) if remembered.exists() else 0
        for port in (wanted, 0):
            with socket.socket() as listener, contextlib.suppress(OSError):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))
                found: int = listener.getsockname()[1]
                break
        remembered.write_text(str(found))
        return found

    def _follow_journal(self) -> None:
        """Tell the observers of the journal what other processes write to it, until the end."""
        ended = threading.Event()
        journal = self.fleet.journal
        latest, _ = journal.events_after(0)

        def follow() -> None:
            number = latest
            while not ended.wait(_POLL_S):
                number, events = journal.events_after(number)
                for event in events:
                    journal.tell(event)

        thread = threading.Thread(target=follow, name="follow journal", daemon=True)
        thread.start()
        self._cleanup.callback(thread.join)
        self._cleanup.callback(ended.set)

    def _start_services(self) -> None:
        nova_conf = str(self._state.etc / "nova.conf")
        for name in ("nova-conductor", "nova-scheduler"):
            self._run(name, [sys.executable, "-m", "nova_fakes.sandbox.program", name, "--config-file", nova_conf])
        program = str(Path(sys.executable).with_name("nova-compute"))
        for host in self.spec.hosts:
            own = self._state.etc / f"{host}.conf"
            # nova keeps the compute node's id in it, so each host has its own.
            kept = self._state.hypervisors / host
            kept.mkdir(exist_ok=True)
            own.write_text(f"[DEFAULT]\nhost = {host}\nstate_path = {kept}\ninstances_path = {kept / 'instances'}\n")
            self._run(f"nova-compute@{host}", [program, "--config-file", nova_conf, "--config-file", str(own)])
        for label in list(self._programs)[1:]:
            name, _, host = label.partition("@")
            up = self._service_up(name, host or "controller")
            self._step(label, lambda label=label, up=up: self._wait(label, up))  # type: ignore[misc]

    def _start_api(self, cache: TokenCache) -> WSGIApplication:
        port = self._free_port("nova-api.port")
        argv = [sys.executable, "-m", "nova_fakes.sandbox.program", "nova-api", str(port), str(self._state.etc)]
        self._run("nova-api", argv)
        url = self.server.url + config.MOUNTS["compute"]
        self._step("nova-api", lambda: self._wait("nova-api", lambda: _listens(port)), url)
        return Proxy(port)

    def _service_up(self, binary: str, host: str) -> Callable[[], bool]:
        since = time.time()
        return lambda: self._nova.has_reported(binary, host, since)

    def _run(self, label: str, argv: list[str]) -> None:
        self._programs[label] = Supervised(self._ledger, label, argv, self.logs.path(label))

    def _wait(self, label: str, condition: Callable[[], bool]) -> None:
        while not condition():
            require_running(self._programs[label], self.logs.path(label))
            time.sleep(_POLL_S)

    def _stop_programs(self) -> None:
        running = list(reversed(self._programs.values()))
        for program in running:
            if program.name != "rabbit":
                program.ask_to_stop()
        for program in running:
            program.stop()

    def host_down(self, name: str) -> None:
        """Kill a host's nova-compute, and leave it so; its guests die with it."""
        program = self._compute(name)
        with self._hosts_lock:
            if self._host_state(name) == "down":
                return
            self._troubles[name] = "down"
            program.kill()
            self._lose_power(name)
            self._fakes.network.set_host_alive(name, False)

    def _lose_power(self, name: str) -> None:
        """Do to a host what its crash does, in the place of its process, which is no more."""
        fleet = self._plan.make_fleet(self._clock, Journal(self._state.journal))
        try:
            inventory = None if self.spec.fleet_file is None else self._plan.inventory(name)
            realizer = self._realizer(name) if self._realizers else None
            fleet.add(Hypervisor(name, inventory, realizer)).crash()
        finally:
            fleet.close()

    def host_hang(self, name: str, deadline_s: float) -> None:
        """Stop a host's nova-compute in its tracks, for as long as it takes; the deadline is not looked at."""
        program = self._compute(name)
        with self._hosts_lock:
            if self._host_state(name) == "up":
                self._troubles[name] = "hung"
                program.pause()
                self._fakes.network.set_host_alive(name, False)

    def host_up(self, name: str) -> None:
        """Start a host's nova-compute again, or let it go on."""
        program = self._compute(name)
        with self._hosts_lock:
            trouble = self._troubles.pop(name, "up")
            if trouble == "down" or program.given_up:
                program.start()
            elif trouble == "hung":
                program.resume()
            self._fakes.network.set_host_alive(name, True)

    def guest_crash(self, uuid: str) -> None:
        """Refuse: the guest is in another process."""
        raise _elsewhere("guests cannot be crashed")

    def add_faults(self, rules: Iterable[Mapping[str, Any]], seed: int | None = None) -> list[dict[str, Any]]:
        """Refuse: what would fail is in other processes."""
        raise _elsewhere(_FAULTS)

    def faults(self) -> list[dict[str, Any]]:
        """Refuse likewise."""
        raise _elsewhere(_FAULTS)

    def remove_fault(self, number: int) -> None:
        """Refuse likewise."""
        raise _elsewhere(_FAULTS)

    def clear_faults(self) -> None:
        """Refuse likewise."""
        raise _elsewhere(_FAULTS)

    def read_disk(self, uuid: str, device: str, offset: int, length: int) -> bytes:
        """Refuse: the guest is in another process."""
        raise _elsewhere(_DISKS)

    def write_disk(self, uuid: str, device: str, offset: int, data: bytes) -> None:
        """Refuse likewise."""
        raise _elsewhere(_DISKS)

    def instances(self) -> list[dict[str, Any]]:
        """Return every guest that the journal holds, on hosts that are down too, ready for JSON."""
        from nova_fakes.virt.vif.base import VIF

        found = []
        for host in self.spec.hosts:
            realizer = self._realizers.get(host)
            for record in self.fleet.journal.guests(host).values():
                found.append(describe(Guest.from_record(record), host, realizer, VIF.from_network_info))
        return found

    def _guests(self, host: str) -> int:
        return len(self.fleet.journal.guests(host))

    def _compute(self, host: str) -> Supervised:
        try:
            return self._programs[f"nova-compute@{host}"]
        except KeyError:
            raise HostNotFound(f"host {host!r} is not in this sandbox: {', '.join(self.spec.hosts)} are") from None

    def _service(self, label: str) -> dict[str, Any]:
        service = super()._service(label)
        program = self._programs.get(label)
        if program is None:
            return service
        if program.pid is None and service["state"] == "up":
            service["state"] = "failed" if program.given_up else "starting"
        return {**service, "pid": program.pid, "restarts": program.restarts}


def _elsewhere(what: str) -> InvalidTransition:
    return InvalidTransition(f"{what} in a sandbox of processes: start it without --processes")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
