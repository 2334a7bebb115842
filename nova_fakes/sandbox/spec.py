"""What a sandbox is asked to be, and how it tells of its start."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nova_fakes.exceptions import InvalidInput

__all__ = ["Progress", "SandboxSpec", "default_state"]

REALIZERS = ("null", "bridge")
_ENDPOINT = re.compile(r"https?://\S+/v3/?")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")


def default_state() -> Path:
    """Return the state directory used when none is named.

    ``$NOVA_FAKES_STATE``, else ``$XDG_STATE_HOME/nova-fakes``, else ``~/.local/state/nova-fakes``.
    """
    named = os.environ.get("NOVA_FAKES_STATE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "nova-fakes"


@dataclass(frozen=True)
class SandboxSpec:
    """The shape of a sandbox.

    :param state: directory that holds everything the sandbox keeps: configuration, databases, logs, image bytes
    :param hosts: names of the hypervisors, one nova-compute each
    :param realizer: the VIF realizer of every host
    :param port: TCP port on loopback for all APIs; 0 chooses a free one
    :param fallback_null: use the null realizer where this machine allows no network namespaces, rather than refuse
    :raises InvalidInput: on a value that cannot be used
    """

    state: Path
    hosts: tuple[str, ...] = ("compute-1", "compute-2")
    realizer: str = "null"
    port: int = 0
    fallback_null: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    """Further ``group/option = value`` settings for nova.conf."""
    fleet_file: Path | None = None
    """Describes the hosts, which have the names that :attr:`hosts` gives; None: hosts all alike."""
    fault_file: Path | None = None
    """Fault rules that are in force from the beginning."""
    cinder_url: str | None = None
    """Endpoint of a Cinder elsewhere, without a project, that takes the place of the volume service; None: the fake."""
    processes: bool = False
    """Run a broker, nova-api, nova-conductor, nova-scheduler and the nova-computes as processes of their own."""

    def __post_init__(self) -> None:
        if not self.hosts:
            raise InvalidInput("hosts", self.hosts, "name at least one host")
        for host in self.hosts:
            if not _HOST_NAME.fullmatch(host):
                raise InvalidInput("hosts", host, "use letters, digits, dots and hyphens, at most 63 characters")
        if len(set(self.hosts)) != len(self.hosts):
            raise InvalidInput("hosts", self.hosts, "name each host once")
        if not 0 <= self.port <= 65535:
            raise InvalidInput("port", self.port, "use a TCP port from 1 to 65535, or 0 for a free one")
        if self.processes and self.realizer == "ovs":
            raise InvalidInput("realizer", self.realizer, "use bridge, remote or null with processes")
        if self.cinder_url is not None and not _ENDPOINT.fullmatch(self.cinder_url):
            raise InvalidInput("cinder_url", self.cinder_url, "give its endpoint, http://HOST:PORT/volume/v3")
        for name in self.options:
            if name.count("/") != 1:
                raise InvalidInput("options", name, "write group/option, for example DEFAULT/debug")

    def to_json(self) -> str:
        """Return the spec as JSON text."""
        data = asdict(self)
        data["state"] = str(self.state)
        for name in ("fleet_file", "fault_file"):
            data[name] = None if data[name] is None else str(data[name])
        return json.dumps(data, indent=2)

    @classmethod
    def from_json(cls, text: str) -> SandboxSpec:
        """Return the spec that :meth:`to_json` wrote."""
        data = json.loads(text)
        return cls(
            state=Path(data["state"]),
            hosts=tuple(data["hosts"]),
            realizer=data["realizer"],
            port=data["port"],
            fallback_null=data["fallback_null"],
            options=data.get("options", {}),
            fleet_file=Path(data["fleet_file"]) if data.get("fleet_file") else None,
            fault_file=Path(data["fault_file"]) if data.get("fault_file") else None,
            cinder_url=data.get("cinder_url"),
            processes=data.get("processes", False),
        )


@dataclass(frozen=True)
class Progress:
    """One service coming up.

    :param service: its name, ``nova-api`` for example
    :param state: ``starting``, ``ready`` or ``failed``
    :param seconds: since the start of the sandbox
    :param detail: an address, or the reason of a failure
    """

    service: str
    state: str
    seconds: float
    detail: str = ""

    def to_json(self) -> str:
        """Return one line of JSON, without the line's end."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Progress:
        """Return the progress that a line of :meth:`to_json` holds."""
        data: dict[str, Any] = json.loads(line)
        return cls(**data)
