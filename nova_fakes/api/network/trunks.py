"""Trunks: a parent port that carries other ports, told apart by VLAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.refusals import bad_request, conflict, not_found
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table

__all__ = ["Trunks"]

_VLANS = values.integer(1, 4094)
_OWNER = "trunk:subport"


def _sub_ports(value: Any) -> list[Record]:
    """Accept a list of objects with "port_id", and perhaps "segmentation_type" and "segmentation_id"."""
    found: list[Record] = []
    for item in [] if value is None else value if isinstance(value, list) else [value]:
        if not isinstance(item, dict) or "port_id" not in item:
            raise ValueError(f"'{item}' does not name a port_id")
        unknown = item.keys() - {"port_id", "segmentation_type", "segmentation_id"}
        if unknown:
            raise ValueError(f"'{item}' has the unknown keys {sorted(unknown)}")
        entry = {"port_id": values.uuid_string(item["port_id"])}
        kind = values.one_of(("vlan", "inherit"))(item.get("segmentation_type", "vlan"))
        if kind != "vlan" or "segmentation_id" not in item:
            raise ValueError(f"'{item}' needs the segmentation_type vlan and a segmentation_id")
        found.append({**entry, "segmentation_type": kind, "segmentation_id": _VLANS(item["segmentation_id"])})
    return found


class Trunks(Collection):
    """Trunks and their sub-ports.

    Args:
        state: the service's tables.
        ports: the ports, of which none that belongs to a trunk can be deleted.
    """

    kind = "Trunk"
    schema = Schema(
        "trunk",
        {
            "name": Attribute(values.string(), default=""),
            "admin_state_up": Attribute(values.boolean, default=True),
            "port_id": Attribute(values.uuid_string, default=REQUIRED, put=False),
            "sub_ports": Attribute(_sub_ports, default=[], put=False, filters=False),
            "status": Attribute(post=False, put=False),
        },
    )

    def __init__(self, state: State, ports: Ports) -> None:
        super().__init__(state)
        self._ports = ports
        ports.before_delete.append(self._keep)
        ports.details.append(self._details)

    @property
    def table(self) -> Table:
        """The trunks."""
        return self.state.trunks

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a trunk; it is ACTIVE as long as its parent port is."""
        parent = self.state.ports.get(record["port_id"])
        active = parent is not None and parent["status"] == "ACTIVE" and record["admin_state_up"]
        return {**super().view(caller, record), "status": "ACTIVE" if active else "DOWN"}

    def sub_ports(self, caller: Caller, trunk_id: str) -> dict[str, Any]:
        """Return the API's answer about a trunk's sub-ports; ApiError 404."""
        with self.state.lock:
            return {"sub_ports": self.find(caller, trunk_id)["sub_ports"]}

    def add(self, caller: Caller, trunk_id: str, body: Mapping[str, Any]) -> Record:
        """Let a trunk carry more ports, and return it.

        Raises:
            ApiError: 400 what is no sub-port; 404; 409 a port or VLAN in use, or a trunk that is switched off.
        """
        with self.state.transaction():
            trunk = self._changeable(caller, trunk_id)
            wanted = self._checked(body)
            have = [*trunk["sub_ports"]]
            for one in wanted:
                self._check_free(caller, one, have, trunk_id)
                have.append(one)
            for one in wanted:
                changes = {"device_id": trunk_id, "device_owner": _OWNER}
                self.state.update(self.state.ports, one["port_id"], changes)
            return self.view(caller, self.state.update(self.table, trunk_id, {"sub_ports": have}))

    def remove(self, caller: Caller, trunk_id: str, body: Mapping[str, Any]) -> Record:
        """Let a trunk carry fewer ports, and return it; ApiError 400, 404, 409."""
        with self.state.transaction():
            trunk = self._changeable(caller, trunk_id)
            items = body.get("sub_ports")
            if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
                raise bad_request("Invalid input for operation: 'sub_ports' must be a list of objects.")
            gone = [str(one.get("port_id")) for one in items]
            for port_id in gone:
                if all(one["port_id"] != port_id for one in trunk["sub_ports"]):
                    raise not_found(
                        "SubPortNotFound", f"SubPort on trunk {trunk_id} with parent port {port_id} could not be found."
                    )
            left = [one for one in trunk["sub_ports"] if one["port_id"] not in gone]
            for port_id in gone:
                self._free(port_id)
            return self.view(caller, self.state.update(self.table, trunk_id, {"sub_ports": left}))

    def _create(self, caller: Caller, values: Record) -> Record:
        self._enforce_quota(values["project_id"])
        parent = self._ports.find(caller, values["port_id"])
        if parent["binding:host_id"] or parent["device_owner"] == _OWNER:
            raise conflict(
                "ParentPortInUse",
                f"Port {parent['id']} is currently in use and is not eligible for use as a parent port.",
            )
        self._refuse_parent(parent["id"])
        have: list[Record] = []
        for one in values["sub_ports"]:
            if one["port_id"] == parent["id"]:
                raise conflict("ParentPortInUse", f"Port {parent['id']} cannot carry itself.")
            self._check_free(caller, one, have, "new trunk")
            have.append(one)
        trunk = self.table.insert(self._record(values, status="DOWN"))
        for one in have:
            changes = {"device_id": trunk["id"], "device_owner": _OWNER}
            self.state.update(self.state.ports, one["port_id"], changes)
        return trunk

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        return self.state.update(self.table, old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        parent = self.state.ports.get(record["port_id"])
        if parent is not None and parent["binding:host_id"]:
            raise conflict("TrunkInUse", f"Trunk {record['id']} is currently in use.")
        for one in record["sub_ports"]:
            self._free(one["port_id"])
        self.table.delete(record["id"])

    def _changeable(self, caller: Caller, trunk_id: str) -> Record:
        trunk = self.find(caller, trunk_id)
        self.authorize(caller, "update", trunk)
        if not trunk["admin_state_up"]:
            raise conflict("TrunkDisabled", f"Trunk {trunk_id} is currently disabled.")
        return trunk

    @staticmethod
    def _checked(body: Mapping[str, Any]) -> list[Record]:
        if not isinstance(body.get("sub_ports"), list):
            raise bad_request("Invalid input for operation: 'sub_ports' must be a list of objects.")
        try:
            return _sub_ports(body["sub_ports"])
        except ValueError as error:
            raise bad_request(f"Invalid input for sub_ports. Reason: {error}.") from None

    def _check_free(self, caller: Caller, one: Record, have: list[Record], trunk_id: str) -> None:
        """Refuse a port or a VLAN that is in use; ApiError 404, 409."""
        port = self._ports.find(caller, one["port_id"])
        self._refuse_parent(port["id"])
        if port["device_owner"] == _OWNER or any(other["port_id"] == port["id"] for other in have):
            raise conflict("PortInUseAsSubPort", f"Port {port['id']} is currently a subport for trunk {trunk_id}.")
        if port["binding:host_id"]:
            raise conflict("PortInUse", f"Port {port['id']} is bound and cannot be a subport.")
        if any(other["segmentation_id"] == one["segmentation_id"] for other in have):
            raise conflict(
                "DuplicateSubPort",
                f"segmentation_type {one['segmentation_type']} and segmentation_id {one['segmentation_id']} already "
                f"in use on trunk {trunk_id}.",
            )

    def _refuse_parent(self, port_id: str) -> None:
        for trunk in self.table.find("port_id", port_id):
            raise conflict(
                "PortInUseAsTrunkParent", f"Port {port_id} is currently a parent port for trunk {trunk['id']}."
            )

    def _free(self, port_id: str) -> None:
        if port_id in self.state.ports:
            self.state.update(self.state.ports, port_id, {"device_id": "", "device_owner": ""})

    def _keep(self, port: Record) -> None:
        """Refuse to delete a port that belongs to a trunk; ApiError 409."""
        self._refuse_parent(port["id"])
        if port["device_owner"] == _OWNER and port["device_id"] in self.table:
            raise conflict(
                "PortInUseAsSubPort", f"Port {port['id']} is currently a subport for trunk {port['device_id']}."
            )

    def _details(self, port: Record) -> Record:
        """Return what a parent port shows of its trunk."""
        for trunk in self.table.find("port_id", port["id"]):
            rows = [
                {**one, "mac_address": self.state.ports[one["port_id"]]["mac_address"]} for one in trunk["sub_ports"]
            ]
            return {"trunk_details": {"trunk_id": trunk["id"], "sub_ports": rows}}
        return {}
