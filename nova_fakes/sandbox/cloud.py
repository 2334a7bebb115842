"""The whole cloud of a sandbox in one process: fakes, databases, placement, nova, hypervisors.

One process starts fastest (nova's modules are imported once), needs no broker and no database server, and one debugger
sees a request from the REST call to the hypervisor. What it gives up is nova's isolation of services: CONF is shared,
so the name of the host is set while each nova-compute starts.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_fakes.api.server import Server
from nova_fakes.clock import SystemClock
from nova_fakes.exceptions import AgentError, HostDown, HostNotFound, NotFound
from nova_fakes.sandbox import config, database
from nova_fakes.sandbox.agent import SandboxAgent
from nova_fakes.sandbox.l2agent import Layer2Agent
from nova_fakes.sandbox.logs import ServiceLogs
from nova_fakes.sandbox.schemas import SCHEMAS, SchemaCache, default_directory
from nova_fakes.sandbox.spec import Progress, SandboxSpec
from nova_fakes.sandbox.state import StateDirectory
from nova_fakes.sandbox.token_cache import TokenCache, WSGIApplication, with_token_cache
from nova_fakes.virt import fault_file, fleet_file
from nova_fakes.virt.fault_file import FaultPlan
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.fleet_file import FleetPlan
from nova_fakes.virt.guest import Guest
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.nic import VIFReader, Wiring
from nova_fakes.virt.vif import namespaces, registry
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs_fabric import SwitchFabric

if TYPE_CHECKING:
    from nova_fakes.sandbox.fakes import Fakes
    from nova_fakes.sandbox.nova_services import NovaServices

__all__ = ["Cloud", "describe"]

LOG = logging.getLogger(__name__)


class Cloud:
    """Everything between the loopback port and the kernel.

    :param spec: what to start
    :param state: prepared and owned
    :param ledger: what is made outside the state directory is written there first
    :param on_progress: told of each service as it comes up
    """

    def __init__(
        self,
        spec: SandboxSpec,
        state: StateDirectory,
        ledger: Ledger,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.spec = spec
        self.logs = ServiceLogs(state.logs)
        self.server: Server
        self.fleet: Fleet
        self._state = state
        self._ledger = ledger
        self._on_progress = on_progress
        self._started_at = time.time()
        self._began = time.monotonic()
        self._clock = SystemClock()
        self._agent: SandboxAgent | None = None
        self._fakes: Fakes
        self._nova: NovaServices
        self._cleanup = ExitStack()
        # Service names as they came up, "nova-compute@compute-1" for those of a host.
        self._ready: list[str] = []
        # Of hosts that are not up: "down" or "hung".
        self._troubles: dict[str, str] = {}
        self._hosts_lock = threading.Lock()

    def start(self) -> None:
        """Bring everything up, or leave nothing behind."""
        try:
            self.logs.install()
            self.server = Server(port=self.spec.port)
            self._cleanup.callback(self.server.stop)
            self._start_fleet()
            self._start_fakes()
            self._start_nova()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Bring everything down in reverse; idempotent."""
        self._cleanup.close()

    def host_down(self, name: str) -> None:
        """Crash a host: its guests die with it, its nova-compute falls silent.

        :raises HostNotFound: naming the hosts that there are
        """
        hypervisor = self._hypervisor(name)
        with self._hosts_lock:
            if self._host_state(name) != "down":
                self._troubles[name] = "down"
                self._nova.stop_compute(name)
                hypervisor.crash()
                self._fakes.network.set_host_alive(name, False)

    def host_hang(self, name: str, deadline_s: float) -> None:
        """Let a host hang: its guests go on, its nova-compute is heard of no more, operations wait.

        :param deadline_s: how long each waits before it fails, seconds
        :raises HostNotFound: naming the hosts that there are
        :raises HostDown: it has crashed
        :raises InvalidInput: a deadline that is none
        """
        hypervisor = self._hypervisor(name)
        with self._hosts_lock:
            if self._host_state(name) == "hung":
                return
            hypervisor.hang(deadline_s)
            self._troubles[name] = "hung"
            self._nova.silence_compute(name)
            self._fakes.network.set_host_alive(name, False)

    def host_up(self, name: str) -> None:
        """Bring a host back: a crashed one is powered on and its nova-compute started, one that hangs goes on.

        :raises HostNotFound: naming the hosts that there are
        """
        hypervisor = self._hypervisor(name)
        with self._hosts_lock:
            trouble = self._host_state(name)
            if trouble == "up":
                return
            hypervisor.recover()
            self._fakes.network.set_host_alive(name, True)
            if trouble == "down":
                self._start_compute(name)
            else:
                self._nova.hear_compute(name)
            del self._troubles[name]

    def guest_crash(self, uuid: str) -> None:
        """Crash a guest; nova hears of it.

        :raises GuestNotFound: it is on no host
        :raises InvalidTransition: it is off
        :raises HostDown: its host is not up
        """
        hypervisor = self.fleet.find(uuid)
        if hypervisor.silent:
            state = self._host_state(hypervisor.name)
            raise HostDown(f"host {hypervisor.name} of guest {uuid} is {state}: bring it back first")
        hypervisor.change(uuid, "crash")

    def read_disk(self, uuid: str, device: str, offset: int, length: int) -> bytes:
        """Return bytes of a guest's volume, as the guest reads them.

        :raises GuestNotFound: it is on no host
        :raises DeviceNotFound: it has no such volume
        :raises InvalidTransition: it does not run
        """
        return self.fleet.find(uuid).guest_disk(uuid, device).read(offset, length)

    def write_disk(self, uuid: str, device: str, offset: int, data: bytes) -> None:
        """Let a guest write to its volume; the same is raised."""
        self.fleet.find(uuid).guest_disk(uuid, device).write(offset, data)

    def status(self) -> dict[str, Any]:
        """Return what ``nova-fakes status`` shows, ready for JSON."""
        counts: dict[str, int] = {}
        for entry in self._ledger.entries():
            counts[entry.kind] = counts.get(entry.kind, 0) + 1
        return {
            "pid": os.getpid(),
            "state_dir": str(self._state.root),
            "url": self.server.url,
            "realizer": self.spec.realizer,
            "started_at": self._started_at,
            "services": [self._service(name) for name in self._ready],
            "hosts": [
                {"name": name, "state": self._host_state(name), "guests": self._guests(name)}
                for name in self.spec.hosts
            ],
            "ledger": counts,
        }

    def add_faults(self, rules: Iterable[Mapping[str, Any]], seed: int | None = None) -> list[dict[str, Any]]:
        """Put fault rules in force, all or none, and return them as :meth:`faults` lists them.

        :param rules: as :func:`nova_fakes.virt.fault_file.make_rule` takes them
        :param seed: from which chance is to begin anew; None: it goes on
        :raises InvalidInput: a value cannot be used
        """
        plan = FaultPlan(tuple(fault_file.make_rule(values) for values in rules), seed)
        plan.put_in_force(self.fleet.faults)
        return self.faults()[-len(plan.faults) :]

    def faults(self) -> list[dict[str, Any]]:
        """Return the fault rules with how far they have come, numbered from 1, ready for JSON."""
        return [
            {
                "number": number,
                **fault_file.values_of(standing.rule),
                "matched": standing.seen,
                "struck": standing.struck,
            }
            for number, standing in enumerate(self.fleet.faults.standing, 1)
        ]

    def remove_fault(self, number: int) -> None:
        """Take a fault rule out of force.

        :raises NotFound: there is none of that number
        """
        rules = self.fleet.faults.rules
        if not 1 <= number <= len(rules):
            raise NotFound(f"there is no fault rule {number}: `nova-fakes fault list` shows those in force")
        self.fleet.faults.remove(rules[number - 1])

    def clear_faults(self) -> None:
        """Take every fault rule out of force."""
        self.fleet.faults.clear()

    def events_after(self, number: int, *, count: int | None = None, **wanted: Any) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of the latest event, and what happened after that `number`, oldest first, ready for JSON.

        :param count: only so many, the latest
        :param wanted: as :meth:`Journal.events_after` takes them
        """
        latest, events = self.fleet.journal.events_after(number, **wanted)
        if count is not None:
            events = events[max(0, len(events) - count) :]
        names = {event.guest: event.details["spec"].display_name for event in events if "spec" in event.details}
        for host in self.fleet.hosts.values():
            names |= {guest.uuid: guest.display_name for guest in list(host.guests.values())}
        return latest, [{**event.to_record(), "name": names.get(event.guest)} for event in events]

    def instances(self) -> list[dict[str, Any]]:
        """Return every guest of the fleet, on hosts that are down too, ready for JSON."""
        hypervisors = [self._hypervisor(name) for name in self.spec.hosts]
        # An agent that is not there would be waited for once a guest.
        asks = self._agent is None or self._agent.state == "up"
        return [
            describe(guest, one.name, one.realizer if asks else None, one.read_vif)
            for one in hypervisors
            for guest in list(one.guests.values())
        ]

    def _service(self, label: str) -> dict[str, Any]:
        name, _, host = label.partition("@")
        kind = {"volume": "volumev3", "nova-api": "compute"}.get(name, name)
        service: dict[str, Any] = {
            "name": name,
            "host": host or None,
            "state": self._host_state(host) if host else "up",
            "url": self._url(kind),
        }
        if name == "agent" and self._agent is not None:
            agent = self._agent
            service |= {"state": agent.state, "pid": agent.pid, "restarts": agent.restarts}
        return service

    def _url(self, kind: str) -> str | None:
        if kind == "volumev3" and self.spec.cinder_url is not None:
            return self.spec.cinder_url
        path = config.MOUNTS.get(kind)
        return self.server.url + path if path else None

    def _guests(self, host: str) -> int:
        return len(self._hypervisor(host).guests)

    def _host_state(self, name: str) -> str:
        return self._troubles.get(name, "up")

    def _hypervisor(self, name: str) -> Hypervisor:
        if name not in self.spec.hosts:
            raise HostNotFound(f"host {name!r} is not in this sandbox: its hosts are {', '.join(self.spec.hosts)}")
        return self.fleet.hypervisor(name)

    def _report(self, label: str, state: str, detail: str = "") -> None:
        if state == "ready":
            self._ready.append(label)
        self._on_progress(Progress(label, state, round(time.monotonic() - self._began, 3), detail))

    def _step(self, label: str, action: Callable[[], Any], detail: str = "") -> Any:
        """Run one step of the start, telling of its beginning and its end."""
        self._report(label, "starting")
        try:
            result = action()
        except BaseException as error:
            self._report(label, "failed", str(error) or type(error).__name__)
            raise
        self._report(label, "ready", detail)
        return result

    def _start_fleet(self) -> None:
        described = self.spec.fleet_file
        self._plan = plan = FleetPlan() if described is None else fleet_file.load(described)
        self.fleet = plan.make_fleet(self._clock, Journal(self._state.journal))
        if self.spec.fault_file is not None:
            fault_file.load(self.spec.fault_file).put_in_force(self.fleet.faults)
        self._cleanup.callback(self.fleet.close)
        options: dict[str, Any] = {}
        if self.spec.realizer in _FABRICS:
            options["fabric"] = self._step("fabric", self._make_fabric)
        elif self.spec.realizer == "remote":
            options["socket"] = self._step("agent", self._start_agent)
        for host in self.spec.hosts:
            inventory = None if described is None else plan.inventory(host)
            addressing = {} if inventory is None else {"addressing": inventory.vif_addressing}
            realizer = registry.load(self.spec.realizer, host=host, **options, **addressing)
            self.fleet.add(Hypervisor(host, inventory, realizer))

    def _namespaces(self) -> tuple[Path, str]:
        """Return where namespaces get their names, and the name of that for the hosts' side."""
        # What an ordinary user mounts is seen by nobody else, and he may not write to ip-netns(8)'s directory.
        directory = self._state.namespaces if namespaces.in_user_namespace() else namespaces.RUN_NETNS
        return directory, f"nova-fakes-{os.getpid()}"

    def _start_agent(self) -> Path:
        """Start the agent of the realizer `remote`; returns its socket."""
        self._agent = SandboxAgent(self._state, self._ledger, *self._namespaces())
        self._cleanup.callback(self._agent.stop)
        self._agent.wait_until_ready()
        return self._state.agent_socket

    def _make_fabric(self) -> Fabric:
        fabric = _FABRICS[self.spec.realizer](self._state, self._ledger, *self._namespaces())
        self._cleanup.callback(fabric.close)
        return fabric

    def _start_fakes(self) -> None:
        from nova_fakes.sandbox.fakes import Fakes

        self._fakes = Fakes(self._state, self.server, self.spec.hosts, self._clock, cinder_url=self.spec.cinder_url)
        self._cleanup.callback(self._fakes.stop)
        self.fleet.volume_store = self._fakes.volume_store
        agent = Layer2Agent(self.fleet.journal, self._fakes)
        self._cleanup.callback(agent.stop)
        self.server.start()
        for name in ("identity", "image", "network", "volume"):
            self._report(name, "ready", self._service(name)["url"])

    def _start_nova(self) -> None:
        state, server = self._state, self.server
        config.write_nova(state, self.spec, server.url)
        self._report("nova", "starting", "importing")
        from nova_fakes.sandbox.nova_services import NovaServices

        self._nova = nova = NovaServices(state)
        self._cleanup.callback(nova.stop)
        database.WriterTurns(shared=self.spec.processes).install()
        schemas = SchemaCache(default_directory())
        for file, kind in (("nova_api", "api"), ("nova_cell0", "main"), ("nova_cell1", "main")):
            path = state.databases / f"{file}.sqlite"
            with schemas.provided(path, SCHEMAS[kind]) as missing:
                if missing:
                    database.create_schema(path, kind)
        nova.load_configuration()
        self.logs.install()
        nova.create_cells()
        nova.create_flavors()
        cache = TokenCache(time.monotonic)
        with schemas.provided(state.databases / "placement.sqlite", SCHEMAS["placement"]) as missing:
            config.write_placement(state, server.url, migrate=missing)
            placement = self._step("placement", nova.placement)
        self.logs.install()
        server.mount(config.MOUNTS["placement"], with_token_cache(placement, cache))
        self._start_services()
        nova.map_hosts()
        nova.create_aggregates(self._plan.aggregates)
        server.mount(config.MOUNTS["compute"], self._start_api(cache))
        config.write_clouds(state, server.url)

    def _start_api(self, cache: TokenCache) -> WSGIApplication:
        """Return nova's API, ready."""
        url = self.server.url + config.MOUNTS["compute"]
        return with_token_cache(self._step("nova-api", self._nova.api, url), cache)

    def _start_services(self) -> None:
        self._step("nova-conductor", self._nova.start_conductor)
        self._step("nova-scheduler", self._nova.start_scheduler)
        for host in self.spec.hosts:
            self._step(f"nova-compute@{host}", functools.partial(self._start_compute, host))

    def _start_compute(self, host: str) -> None:
        with self.fleet.activate():
            self._nova.start_compute(host)


def _bridge_fabric(state: StateDirectory, ledger: Ledger, directory: Path, namespace: str) -> Fabric:
    return Fabric(ledger, directory=directory, namespace=namespace)


def _switch_fabric(state: StateDirectory, ledger: Ledger, directory: Path, namespace: str) -> Fabric:
    return SwitchFabric(ledger, directory=directory, namespace=namespace, switch_directory=state.switch)


#: The realizers whose hosts share a fabric, and what makes it.
_FABRICS: dict[str, Callable[[StateDirectory, Ledger, Path, str], Fabric]] = {
    "bridge": _bridge_fabric,
    "ovs": _switch_fabric,
}


def describe(guest: Guest, host: str, realizer: Wiring | None, read_vif: VIFReader) -> dict[str, Any]:
    """Return what `nova-fakes` commands know of a guest, ready for JSON."""
    # To look is no operation: it neither fails nor waits where the hypervisor's operations do.
    vifs = [nic.vif(read_vif) for nic in guest.nics.values()]
    return {
        "uuid": guest.uuid,
        "name": guest.display_name,
        "project_id": guest.project_id,
        "host": host,
        "power_state": str(guest.state),
        "equipment": {} if guest.spec.equipment is None else guest.spec.equipment.described(),
        "namespace": _namespace(guest, realizer),
        "vifs": [
            {
                "id": vif.id,
                "mac": vif.address,
                "devname": vif.devname,
                "network_id": vif.network_id,
                "addresses": [address for subnet in vif.subnets for address in subnet.addresses],
            }
            for vif in vifs
        ],
    }


def _namespace(guest: Guest, realizer: Wiring | None) -> str | None:
    """Return where a guest's interfaces are; None where it has none, or the agent that would know does not answer."""
    try:
        return None if realizer is None else realizer.namespace(guest.uuid)
    except AgentError:
        return None
