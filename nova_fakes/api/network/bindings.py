"""On which hosts a port is, or is about to be: the binding attributes and the `binding-extended` API.

A port has one active binding, to host "" while it is bound nowhere, and may have inactive ones on other hosts: live
migration makes one on the destination, and activates it at switch-over (`neutron/plugins/ml2/plugin.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nova_fakes.api.network import events, values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.refusals import bad_request, bad_resource, conflict, forbidden, not_found, refuse
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record

__all__ = ["SCHEMA", "VNIC_TYPES", "Bindings"]

VNIC_TYPES: Final = (
    "normal",
    "direct",
    "macvtap",
    "baremetal",
    "direct-physical",
    "virtio-forwarder",
    "smart-nic",
    "vdpa",
    "accelerator-direct",
    "accelerator-direct-physical",
    "remote-managed",
)

SCHEMA = Schema(
    "binding",
    {
        "host": Attribute(values.string(), default=REQUIRED),
        "vnic_type": Attribute(values.one_of(VNIC_TYPES), default="normal"),
        "profile": Attribute(values.dictionary, default={}),
        "vif_type": Attribute(post=False, put=False),
        "vif_details": Attribute(post=False, put=False),
        "status": Attribute(post=False, put=False),
    },
    standard=False,
)

ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"
UNBOUND, FAILED, OVS = "unbound", "binding_failed", "ovs"
# What ML2's Open vSwitch mechanism tells nova; nova 34 refuses the Linux bridge's VIF type.
OVS_DETAILS = {
    "connectivity": "l2",
    "port_filter": True,
    "ovs_hybrid_plug": False,
    "datapath_type": "system",
    "bridge_name": "br-int",
}


class Bindings:
    """The bindings of all ports, and the ports' status, which depends on them.

    Args:
        state: the service's tables.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    # Parts that ports use.

    def resolve(self, host: str, vnic_type: str) -> tuple[str, dict[str, Any]]:
        """Return the VIF type and details of a port on `host`.

        A host without a living layer-2 agent, or a kind of interface that a software switch cannot provide, makes the
        binding fail, as with Neutron's Open vSwitch mechanism.
        """
        if not host:
            return UNBOUND, {}
        agents = self._state.agents.find("host", host)
        alive = any(agent["alive"] and agent["admin_state_up"] for agent in agents)
        if vnic_type != "normal" or not alive:
            return FAILED, {}
        return OVS, dict(OVS_DETAILS)

    def start(self, port: Record, host: str, vnic_type: str, profile: Mapping[str, Any]) -> Record:
        """Give a port that is being made its first binding; return the port with the attributes of it."""
        binding = self._binding(port["project_id"], host, vnic_type, profile, ACTIVE)
        self._state.bindings[port["id"]] = {host: binding}
        return {**port, **_attributes(binding)}

    def change(self, port: Record, wanted: Mapping[str, Any]) -> Record:
        """Change the active binding of a port by its "binding:…" attributes; return the port as it is then.

        Another host takes the port down until that host's agent reports it up.
        """
        active = self.active(port["id"])
        host = active["host"]
        if "binding:host_id" in wanted:
            host = wanted["binding:host_id"] or ""
        vnic_type = wanted.get("binding:vnic_type", active["vnic_type"])
        profile = wanted.get("binding:profile", active["profile"])
        same = (host, vnic_type, profile) == (active["host"], active["vnic_type"], active["profile"])
        if same and active["vif_type"] != FAILED:
            return port
        binding = self._binding(port["project_id"], host, vnic_type, profile, ACTIVE)
        hosts = self._state.bindings[port["id"]]
        del hosts[active["host"]]
        hosts[host] = binding
        port = self._state.update(self._state.ports, port["id"], _attributes(binding))
        if host != active["host"]:
            port = self.set_status(port, "DOWN")
        return self.settle(port)

    def active(self, port_id: str) -> Record:
        """Return the active binding of a port."""
        for binding in self._state.bindings[port_id].values():
            if binding["status"] == ACTIVE:
                return binding
        raise LookupError(f"port {port_id} has lost its active binding")

    def settle(self, port: Record) -> Record:
        """Bring the status of a port in line with what the agent of its host has reported; return the port."""
        host = port["binding:host_id"]
        up = (
            bool(host)
            and port["admin_state_up"]
            and port["binding:vif_type"] not in (UNBOUND, FAILED)
            and host in self._state.wired.get(port["id"], ())
        )
        return self.set_status(port, "ACTIVE" if up else "DOWN")

    def set_status(self, port: Record, status: str) -> Record:
        """Set the status of a port, and tell nova where that plugs or unplugs a server's interface; return the port."""
        if port["status"] == status:
            return port
        before = port["status"]
        port = self._state.update(self._state.ports, port["id"], {"status": status})
        if status == "ACTIVE" and before == "DOWN":
            self._state.emit(events.plugged, port)
        elif status == "DOWN" and before == "ACTIVE":
            self._state.emit(events.unplugged, port)
        return port

    def forget(self, port_id: str) -> None:
        """Drop all bindings of a port that is deleted."""
        self._state.bindings.pop(port_id, None)
        self._state.wired.pop(port_id, None)

    def device_up(self, port_id: str, host: str) -> bool:
        """Take a layer-2 agent's report that the port's device is connected on `host`.

        The port becomes ACTIVE if it is bound there. If not, it is about to move there: then its status stays, but
        nova, which waits for it on the source, is told all the same (`neutron/plugins/ml2/rpc.py`, update_device_up).
        """
        port = self._state.ports.get(port_id)
        if port is None:
            return False
        self._state.wired[port_id].add(host)
        if port["binding:host_id"] == host:
            self.settle(port)
        else:
            self._state.emit(events.plugged, port)
        return True

    def device_down(self, port_id: str, host: str) -> bool:
        """Take a layer-2 agent's report that the port's device is gone from `host`."""
        port = self._state.ports.get(port_id)
        if port is None:
            return False
        self._state.wired[port_id].discard(host)
        if port["binding:host_id"] == host:
            self.set_status(port, "DOWN")
        return True

    # The /ports/ID/bindings API, for administrators and services.

    def list(self, caller: Caller, port_id: str, wanted: Mapping[str, Any] | None = None) -> list[Record]:
        """Return the bindings of a port whose attributes have one of the `wanted` values each."""
        with self._state.lock:
            self._port(caller, "get", port_id)
            bindings = self._state.bindings[port_id].values()
            return [b for b in bindings if all(b.get(name) in accepted for name, accepted in (wanted or {}).items())]

    def get(self, caller: Caller, port_id: str, host: str) -> Record:
        """Return the binding of a port on a host.

        Raises:
            ApiError: 404, there is none.
        """
        with self._state.lock:
            self._port(caller, "get", port_id)
            return self._find(port_id, host)

    def create(self, caller: Caller, port_id: str, body: Mapping[str, Any]) -> Record:
        """Bind a port on one more host; the binding is inactive, as there is an active one already.

        Raises:
            ApiError: 409 bound there already, 500 the binding failed on that host (as Neutron answers), 400, 404.
        """
        with self._state.transaction():
            port = self._port(caller, "create", port_id)
            wanted = SCHEMA.for_create(caller, {"project_id": port["project_id"], **body})
            host = wanted["host"]
            if host in self._state.bindings[port_id]:
                raise conflict("PortBindingAlreadyExists", f"Binding for port {port_id} on host {host} already exists.")
            binding = self._binding(port["project_id"], host, wanted["vnic_type"], wanted["profile"], INACTIVE)
            self._check_bound(port_id, binding)
            self._state.bindings[port_id][host] = binding
            return binding

    def update(self, caller: Caller, port_id: str, host: str, body: Mapping[str, Any]) -> Record:
        """Change the vnic type or profile of a binding.

        Raises:
            ApiError: 404 there is none, 500 it failed, 400.
        """
        with self._state.transaction():
            port = self._port(caller, "update", port_id)
            old = self._find(port_id, host)
            wanted = SCHEMA.for_update(caller, body, old)
            if wanted.get("host", host) != host:
                raise bad_request("Cannot update read-only attribute host")
            new = {**old, **wanted}
            binding = self._binding(port["project_id"], host, new["vnic_type"], new["profile"], old["status"])
            self._check_bound(port_id, binding)
            self._state.bindings[port_id][host] = binding
            if binding["status"] == ACTIVE:
                self.settle(self._state.update(self._state.ports, port_id, _attributes(binding)))
            return binding

    def delete(self, caller: Caller, port_id: str, host: str) -> None:
        """Remove a binding; if it was the active one, the port is bound nowhere, and down.

        Raises:
            ApiError: 404, there is none.
        """
        with self._state.transaction():
            port = self._port(caller, "delete", port_id)
            binding = self._find(port_id, host)
            if binding["status"] == ACTIVE:
                self.change(port, {"binding:host_id": ""})
            else:
                del self._state.bindings[port_id][host]

    def activate(self, caller: Caller, port_id: str, host: str) -> Record:
        """Make the binding on `host` the active one, and the one before it inactive.

        The port goes down, and up again at once if the host's agent has reported its device already.

        Raises:
            ApiError: 409 it is active, 404 there is none.
        """
        with self._state.transaction():
            port = self._port(caller, "update", port_id)
            active = self.active(port_id)
            if active["host"] == host:
                raise conflict(
                    "PortBindingAlreadyActive", f"Binding for port {port_id} on host {host} is already active."
                )
            found = self._find(port_id, host)
            hosts = self._state.bindings[port_id]
            binding = {**found, "status": ACTIVE}
            if active["host"]:
                hosts[active["host"]] = {**active, "vif_type": UNBOUND, "vif_details": {}, "status": INACTIVE}
            else:
                del hosts[""]
            hosts[host] = binding
            port = self._state.update(self._state.ports, port_id, _attributes(binding))
            self.settle(self.set_status(port, "DOWN"))
            return binding

    def _port(self, caller: Caller, action: str, port_id: str) -> Record:
        port = self._state.ports.get(port_id)
        if port is None or not caller.owns(port["project_id"]):
            raise not_found("PortNotFound", f"Port {port_id} could not be found.")
        if not caller.is_privileged:
            raise forbidden(f"{action}_port_binding")
        if not port["device_owner"].startswith("compute:"):
            raise bad_resource("port", f"Invalid port {port_id}. Operation only valid on compute ports")
        return port

    def _find(self, port_id: str, host: str) -> Record:
        binding = self._state.bindings[port_id].get(host)
        if binding is None:
            raise not_found("PortBindingNotFound", f"Binding for port {port_id} for host {host} could not be found.")
        return binding

    def _binding(self, project_id: str, host: str, vnic_type: str, profile: Mapping[str, Any], status: str) -> Record:
        vif_type, details = self.resolve(host, vnic_type)
        return {
            "host": host,
            "vif_type": vif_type,
            "vif_details": details,
            "vnic_type": vnic_type,
            "profile": dict(profile),
            "status": status,
            "project_id": project_id,
        }

    @staticmethod
    def _check_bound(port_id: str, binding: Record) -> None:
        if binding["vif_type"] == FAILED:
            raise refuse(
                500,
                "PortBindingError",
                f"Binding for port {port_id} on host {binding['host']} could not be created or updated.",
            )


def _attributes(binding: Record) -> Record:
    return {
        "binding:host_id": binding["host"],
        "binding:vif_type": binding["vif_type"],
        "binding:vif_details": binding["vif_details"],
        "binding:vnic_type": binding["vnic_type"],
        "binding:profile": binding["profile"],
    }
