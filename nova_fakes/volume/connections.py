"""How a host gets at a volume: `connection_info` by protocol, and what a host has to say of itself first.

Everything in it survives JSON: text keys, and no values but text, numbers, booleans, lists and None.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from nova_fakes.volume.errors import ConnectorRefused
from nova_fakes.volume.records import Volume

__all__ = ["PROTOCOLS", "Portal", "connection_info", "nbd_uri", "require_connector"]

#: What each protocol needs of a connector besides the host's name (``os_brick/initiator/connectors``).
PROTOCOLS: Mapping[str, tuple[str, ...]] = {"fake": (), "iscsi": ("initiator",), "local": (), "nbd": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Portal:
    """Where volumes are to be had.

    :param protocol: iscsi, local, nbd or fake
    :param host: on which files and sockets lie: the only one that reaches them
    :param address: of the iSCSI target, host:port
    :param prefix: of the iSCSI target's name (RFC 3720 §3.2.6.3.1)
    :param secret: of which the passwords of CHAP are made
    """

    protocol: str = "fake"
    host: str | None = None
    address: str = "127.0.0.1:3260"
    prefix: str = "iqn.2010-10.org.openstack:"
    secret: str = "nova-fakes"


def require_connector(connector: Mapping[str, Any], portal: Portal) -> str:
    """Return the name of the host whose connector that is.

    :raises ConnectorRefused: it lacks what the protocol needs, or is another host's than the one that has the file
    """
    for field in ("host", *PROTOCOLS[portal.protocol]):
        if not connector.get(field):
            raise ConnectorRefused("connector", dict(connector), f"{portal.protocol} needs its {field}")
    host = str(connector["host"])
    if portal.protocol in ("local", "nbd") and portal.host is not None and host != portal.host:
        raise ConnectorRefused("host", host, f"what {portal.protocol} offers lies on host {portal.host}")
    initiator = connector.get("initiator")
    if portal.protocol == "iscsi" and not str(initiator).startswith(("iqn.", "eui.", "naa.")):
        raise ConnectorRefused("initiator", initiator, "give a name that begins with iqn., eui. or naa.")
    return host


def connection_info(volume: Volume, mode: str, portal: Portal, place: str | None = None) -> dict[str, Any]:
    """Return how a host gets at a volume, as Cinder's drivers say it: ``driver_volume_type`` and ``data``.

    :param mode: rw or ro
    :param place: where it has been realized: a file's path, or a socket's
    """
    qos = volume.qos
    front = qos is not None and qos["consumer"] in ("front-end", "both")
    data: dict[str, Any] = {
        "volume_id": volume.id,
        "access_mode": mode,
        "encrypted": volume.encryption is not None,
        "qos_specs": qos["specs"] if front and qos else None,
        "discard": True,
        **_DATA[portal.protocol](volume, portal, place),
    }
    return {"driver_volume_type": portal.protocol, "data": data}


def _fake(volume: Volume, portal: Portal, place: str | None) -> dict[str, Any]:
    return {"target_lun": 1, "target_wwn": _stable(volume.id, 16)}


def _iscsi(volume: Volume, portal: Portal, place: str | None) -> dict[str, Any]:
    return {
        "target_discovered": False,
        "target_portal": portal.address,
        "target_iqn": f"{portal.prefix}volume-{volume.id}",
        "target_lun": 1,
        "auth_method": "CHAP",
        "auth_username": _stable(f"user:{portal.secret}:{volume.id}", 20),
        "auth_password": _stable(f"password:{portal.secret}:{volume.id}", 16),
    }


def _local(volume: Volume, portal: Portal, place: str | None) -> dict[str, Any]:
    return {"device_path": place}


def _nbd(volume: Volume, portal: Portal, place: str | None) -> dict[str, Any]:
    return {"socket": place, "export": volume.id, "uri": None if place is None else nbd_uri(place, volume.id)}


def nbd_uri(path: str, export: str) -> str:
    """Return an export's address, as ``qemu-img`` and libnbd take it."""
    return f"nbd+unix:///{quote(export)}?socket={quote(path)}"


def _stable(text: str, length: int) -> str:
    """Return hexadecimal digits that are always the same for a volume, as those of storage arrays are."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


_DATA: Mapping[str, Callable[[Volume, Portal, str | None], dict[str, Any]]] = {
    "fake": _fake,
    "iscsi": _iscsi,
    "local": _local,
    "nbd": _nbd,
}
