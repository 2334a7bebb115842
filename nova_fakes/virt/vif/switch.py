"""Bridges and ports of an Open vSwitch, changed in bursts: one transaction for many ports.

ovs-vswitchd looks at all its ports again for every change that it applies, so fifty ports in one transaction cost about
as much as one. A port of ours carries a mark in its external_ids; a port without it is somebody else's, whatever its
name, and is left alone.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif import ovsdb
from nova_fakes.virt.vif.ovsdb import DATABASE, Connection, Operation
from nova_fakes.virt.vif.plan import SwitchPort

__all__ = ["Attachment", "BridgeRow", "Detachment", "PortRow", "Switch"]

#: external_ids of what is ours.
PORT_MARK, NETWORK, ROLE = "nova-fakes-entry", "nova-fakes-network", "nova-fakes-role"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A port to be added: `bridge` is the real bridge, `tag` the VLAN where we choose it, `mark` makes it ours."""

    port: SwitchPort
    bridge: str
    tag: int | None
    mark: str


@dataclass(frozen=True, slots=True)
class Detachment:
    """A port to be removed, if it carries the mark."""

    devname: str
    mark: str


@dataclass(frozen=True, slots=True)
class BridgeRow:
    """What the database says of a bridge."""

    uuid: str
    name: str
    datapath_type: str
    ports: tuple[str, ...]
    external_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PortRow:
    """What the database says of a port."""

    uuid: str
    name: str
    tag: int | None
    external_ids: Mapping[str, str]


class Switch:
    """An Open vSwitch, by its database.

    :param socket: the database server's unix socket
    :param deadline_s: seconds that a burst may take
    """

    def __init__(self, socket: str | os.PathLike[str], *, deadline_s: float = ovsdb.DEFAULT_DEADLINE_S) -> None:
        self.socket = Path(socket)
        self._deadline_s = deadline_s
        #: Ports whose removal nobody has waited for: their names may not be used before the switch has seen it.
        self._leaving: set[str] = set()

    def connect(self) -> Connection:
        """Open a connection; the caller closes it.

        :raises OvsdbUnavailable: nobody answers
        """
        return Connection(self.socket, deadline_s=self._deadline_s)

    def bridges(self) -> dict[str, BridgeRow]:
        """Read all bridges, by name."""
        with self.connect() as connection:
            rows = connection.select("Bridge", [], "_uuid", "name", "datapath_type", "ports", "external_ids")
        found = (
            BridgeRow(
                row["_uuid"][1],
                row["name"],
                row["datapath_type"] or "system",
                tuple(port[1] for port in ovsdb.decode_set(row["ports"])),
                ovsdb.decode_map(row["external_ids"]),
            )
            for row in rows
        )
        return {bridge.name: bridge for bridge in found}

    def datapath_type(self, bridge: str) -> str:
        """Return the bridge's datapath type, ``netdev`` or ``system``.

        :raises RealizerError: there is no such bridge
        """
        with self.connect() as connection:
            rows = connection.select("Bridge", ovsdb.equal("name", bridge), "datapath_type")
        if not rows:
            raise _no_bridge(bridge)
        return str(rows[0]["datapath_type"] or "system")

    def ports(self, names: Iterable[str] | None = None) -> dict[str, PortRow]:
        """Read the ports of these names, all of them where None, by name."""
        with self.connect() as connection:
            if names is None:
                rows = connection.select("Port", [], *_PORT_COLUMNS)
                return {row["name"]: _port_row(row) for row in rows}
            return _ports(connection, list(names))

    def change(self, added: Sequence[Attachment], removed: Sequence[Detachment] = ()) -> dict[str, str]:
        """Add ports and remove others in one transaction, and wait until the switch has added them.

        A port of ours that is there already is set right; one that is not there need not be removed. Nobody waits for
        ports that only go: the switch takes some ten milliseconds to close each.

        :returns: what the switch says of added ports that it cannot use, by name; they are in the database
        :raises RealizerError: a bridge is missing, or a port's name is taken by a port that is not ours
        :raises OvsdbError: the database refused, nothing was done; or it is unavailable
        """
        with self.connect() as connection:
            names = [one.port.devname for one in added]
            if not self._leaving.isdisjoint(names):
                connection.commit([])
                self._leaving.clear()
            operations = self._operations(connection, added, removed)
            if not added:
                if operations:
                    connection.transact(operations)
                self._leaving.update(one.devname for one in removed)
                return {}
            connection.commit(operations)
            self._leaving.clear()
            return _errors(connection, names)

    def make_bridges(
        self, bridges: Sequence[tuple[str, Mapping[str, str]]], patches: Sequence[tuple[str, str, str]], datapath: str
    ) -> None:
        """Make bridges and patch ports in one transaction; what is there already, by an attempt that broke, stays.

        :param bridges: name and external_ids of each
        :param patches: bridge, own name and peer's name of each patch port
        :param datapath: ``netdev`` or ``system``
        :raises OvsdbError: the database refused, nothing was done; or it is unavailable
        """
        with self.connect() as connection:
            there = {row["name"] for row in connection.select("Bridge", [], "name")}
            joined = _ports(connection, [name for _bridge, name, _peer in patches])
            missing = [one for one in bridges if one[0] not in there]
            loose = [one for one in patches if one[1] not in joined]
            connection.commit(_new_bridges(missing, loose, datapath))
        self._leaving.clear()

    def remove_bridges(self, names: Sequence[str], patches: Sequence[str] = ()) -> None:
        """Remove bridges with their ports, and patch ports of others, in one transaction that nobody waits for."""
        with self.connect() as connection:
            rows = [row for name in names for row in connection.select("Bridge", ovsdb.equal("name", name), "_uuid")]
            ports = [["uuid", row.uuid] for row in _ports(connection, patches).values()]
            delete = ["bridges", "delete", ovsdb.encode_set([row["_uuid"] for row in rows])]
            mutation = {"op": "mutate", "table": DATABASE, "where": [], "mutations": [delete]}
            connection.transact([mutation, _off_bridges(ports)])

    def _operations(
        self, connection: Connection, added: Sequence[Attachment], removed: Sequence[Detachment]
    ) -> list[Operation]:
        names = [one.port.devname for one in added] + [one.devname for one in removed]
        there = _ports(connection, names)
        _check_bridges(connection, {one.bridge for one in added})
        operations: list[Operation] = []
        going = [
            ["uuid", row.uuid]
            for one in removed
            if (row := there.get(one.devname)) is not None and row.external_ids.get(PORT_MARK) == one.mark
        ]
        if going:
            operations.append(_off_bridges(going))
        coming: dict[str, list[list[str]]] = {}
        for number, one in enumerate(added):
            row = there.get(one.port.devname)
            if row is None:
                operations += _new_port(str(number), _port_columns(one), _interface_columns(one.port))
                coming.setdefault(one.bridge, []).append(["named-uuid", f"p{number}"])
                continue
            if row.external_ids.get(PORT_MARK) != one.mark:
                raise RealizerError(f"a port {one.port.devname} is on the switch and is not ours; remove that")
            operations += _set_right(one)
            operations.append(_off_bridges([["uuid", row.uuid]]))
            coming.setdefault(one.bridge, []).append(["uuid", row.uuid])
        return operations + [_on_bridge(bridge, ports) for bridge, ports in coming.items()]


_PORT_COLUMNS = ("_uuid", "name", "tag", "external_ids")


def _port_row(row: Mapping[str, object]) -> PortRow:
    tags = ovsdb.decode_set(row["tag"])
    uuid: list[str] = row["_uuid"]  # type: ignore[assignment]  # ["uuid", "…"]
    external_ids = ovsdb.decode_map(row["external_ids"])  # type: ignore[arg-type]  # ["map", […]]
    return PortRow(uuid[1], str(row["name"]), int(tags[0]) if tags else None, external_ids)


def _ports(connection: Connection, names: Sequence[str]) -> dict[str, PortRow]:
    asked = [
        {"op": "select", "table": "Port", "where": ovsdb.equal("name", name), "columns": list(_PORT_COLUMNS)}
        for name in names
    ]
    rows = [row for result in connection.transact(asked) for row in result["rows"]] if asked else []
    return {row["name"]: _port_row(row) for row in rows}


def _check_bridges(connection: Connection, names: Iterable[str]) -> None:
    for name in sorted(names):
        if not connection.select("Bridge", ovsdb.equal("name", name), "name"):
            raise _no_bridge(name)


def _no_bridge(name: str) -> RealizerError:
    return RealizerError(f"the switch has no bridge {name}; Neutron's agent makes it, or `ovs-vsctl add-br {name}`")


def _errors(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """Return what ovs-vswitchd could not do with the interfaces of these names."""
    columns = ["name", "error", "ofport"]
    asked = [
        {"op": "select", "table": "Interface", "where": ovsdb.equal("name", name), "columns": columns} for name in names
    ]
    found = {}
    for result in connection.transact(asked) if asked else ():
        for row in result["rows"]:
            if errors := ovsdb.decode_set(row["error"]):
                found[row["name"]] = str(errors[0])
            elif ovsdb.decode_set(row["ofport"]) in ([], [-1]):
                found[row["name"]] = "the switch gave it no port number"
    return found


def _port_columns(one: Attachment) -> dict[str, object]:
    external_ids = ovsdb.encode_map({PORT_MARK: one.mark, NETWORK: one.port.network_id})
    columns: dict[str, object] = {"name": one.port.devname, "external_ids": external_ids}
    return columns if one.tag is None else {**columns, "tag": one.tag}


def _external_ids(port: SwitchPort) -> dict[str, str]:
    return {
        "iface-id": port.iface_id,
        "iface-status": "active",
        "attached-mac": port.attached_mac,
        "vm-uuid": port.vm_uuid,
    }


def _interface_columns(port: SwitchPort) -> dict[str, object]:
    return {"external_ids": ovsdb.encode_map(_external_ids(port)), "mtu_request": port.mtu_request}


def _set_right(one: Attachment) -> list[Operation]:
    """Set what is ours of a port that is there; whatever an agent has set besides stays."""
    where = ovsdb.equal("name", one.port.devname)
    external_ids = _external_ids(one.port)
    mutations = [
        ["external_ids", "delete", ovsdb.encode_set(list(external_ids))],
        ["external_ids", "insert", ovsdb.encode_map(external_ids)],
    ]
    operations: list[Operation] = [
        {"op": "mutate", "table": "Interface", "where": where, "mutations": mutations},
        {"op": "update", "table": "Interface", "where": where, "row": {"mtu_request": one.port.mtu_request}},
    ]
    if one.tag is not None:
        operations.append({"op": "update", "table": "Port", "where": where, "row": {"tag": one.tag}})
    return operations


def _new_port(label: str, port: Mapping[str, object], interface: Mapping[str, object]) -> list[Operation]:
    """Insert a port with its one interface; its uuid's name is ``p<label>``."""
    return [
        {
            "op": "insert",
            "table": "Interface",
            "row": {"name": port["name"], **interface},
            "uuid-name": f"i{label}",
        },
        {
            "op": "insert",
            "table": "Port",
            "row": {**port, "interfaces": ["named-uuid", f"i{label}"]},
            "uuid-name": f"p{label}",
        },
    ]


def _new_bridges(
    bridges: Sequence[tuple[str, Mapping[str, str]]], patches: Sequence[tuple[str, str, str]], datapath: str
) -> list[Operation]:
    operations: list[Operation] = []
    made = []
    for number, (name, external_ids) in enumerate(bridges):
        operations += _new_port(f"b{number}", {"name": name}, {"type": "internal"})
        row = {
            "name": name,
            "datapath_type": datapath,
            "external_ids": ovsdb.encode_map(external_ids),
            "ports": ["named-uuid", f"pb{number}"],
        }
        operations.append({"op": "insert", "table": "Bridge", "row": row, "uuid-name": f"b{number}"})
        made.append(["named-uuid", f"b{number}"])
    insert = ["bridges", "insert", ovsdb.encode_set(made)]
    operations.append({"op": "mutate", "table": DATABASE, "where": [], "mutations": [insert]})
    for number, (bridge, name, peer) in enumerate(patches):
        interface = {"type": "patch", "options": ovsdb.encode_map({"peer": peer})}
        operations += _new_port(f"x{number}", {"name": name}, interface)
        operations.append(_on_bridge(bridge, [["named-uuid", f"px{number}"]]))
    return operations


def _on_bridge(bridge: str, ports: Sequence[object]) -> Operation:
    mutation = ["ports", "insert", ovsdb.encode_set(ports)]
    return {"op": "mutate", "table": "Bridge", "where": ovsdb.equal("name", bridge), "mutations": [mutation]}


def _off_bridges(ports: Sequence[object]) -> Operation:
    """Take ports off whatever bridges they are on; the database drops rows to which nothing refers."""
    mutation = ["ports", "delete", ovsdb.encode_set(ports)]
    return {"op": "mutate", "table": "Bridge", "where": [], "mutations": [mutation]}
