"""What the compute service keeps of servers and what belongs to them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

__all__ = [
    "ActionRecord",
    "Aggregate",
    "Attachment",
    "Flavor",
    "Interface",
    "KeyPair",
    "MigrationRecord",
    "Server",
    "ServerGroup",
    "dump",
    "host_id",
    "isotime",
    "load",
    "naive_time",
]

R = TypeVar("R")


@dataclass
class Flavor:
    """A size of servers. `id` is what the API calls it; `number` counts them."""

    id: str
    name: str
    vcpus: int
    memory_mb: int
    root_gb: int
    ephemeral_gb: int = 0
    swap_mb: int = 0
    rxtx_factor: float = 1.0
    is_public: bool = True
    description: str | None = None
    extra_specs: dict[str, str] = field(default_factory=dict)
    projects: list[str] = field(default_factory=list)


@dataclass
class KeyPair:
    """A public key of a user's."""

    number: int
    name: str
    user_id: str
    type: str
    public_key: str
    fingerprint: str
    created_at: float


@dataclass
class Aggregate:
    """Hosts that belong together."""

    id: int
    uuid: str
    name: str
    created_at: float
    updated_at: float | None = None
    hosts: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class ServerGroup:
    """Servers that shall be on one host, or each on another."""

    id: str
    name: str
    policy: str
    project_id: str
    user_id: str
    rules: dict[str, Any] = field(default_factory=dict)


@dataclass
class Interface:
    """A network interface of a server's: a port of the network service."""

    port_id: str
    net_id: str
    label: str
    mac: str
    fixed_ips: list[dict[str, str]]
    floating_ips: list[str] = field(default_factory=list)
    tag: str | None = None
    #: Whether the port was made for the server, and goes with it.
    own: bool = True


@dataclass
class Attachment:
    """A volume of a server's, under the uuid of its block device mapping."""

    uuid: str
    volume_id: str
    attachment_id: str | None
    device: str
    tag: str | None = None
    delete_on_termination: bool = False
    boot: bool = False
    size_gb: int | None = None
    connection_info: dict[str, Any] = field(default_factory=dict)


@dataclass
class ActionRecord:
    """What was once done to a server, and by which request."""

    request_id: str
    action: str
    server_id: str
    user_id: str
    project_id: str | None
    start_time: float
    updated_at: float | None = None
    message: str | None = None
    event: str | None = None
    event_result: str = "Success"
    event_details: str | None = None
    host: str | None = None


@dataclass
class MigrationRecord:
    """One move of a server's, of whatever kind."""

    id: int
    uuid: str
    server_id: str
    type: str
    status: str
    source: str
    destination: str | None
    user_id: str
    project_id: str
    created_at: float
    updated_at: float | None = None
    old_flavor: str | None = None
    new_flavor: str | None = None


@dataclass
class Server:
    """A server as its user knows it; its guest is in the fleet, where it has a host.

    Times are unix seconds. `vm_state` and `task_state` are nova's; the power state is the guest's.
    """

    id: str
    number: int
    name: str
    project_id: str
    user_id: str
    flavor: Flavor
    created_at: float
    updated_at: float
    image_id: str | None = None
    image_properties: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    hostname: str = ""
    key_name: str | None = None
    user_data: str | None = None
    config_drive: bool = False
    disk_config: str = "MANUAL"
    access_ipv4: str = ""
    access_ipv6: str = ""
    reservation_id: str = ""
    launch_index: int = 0
    vm_state: str = "building"
    task_state: str | None = None
    host: str | None = None
    zone: str | None = None
    pinned_zone: str | None = None
    hints: dict[str, Any] = field(default_factory=dict)
    group_id: str | None = None
    launched_at: float | None = None
    terminated_at: float | None = None
    root_device: str = "/dev/vda"
    admin_password: str = ""
    tags: list[str] = field(default_factory=list)
    certificates: list[str] | None = None
    security_groups: list[str] = field(default_factory=list)
    files: list[list[str]] = field(default_factory=list)
    locked_by: str | None = None
    locked_reason: str | None = None
    fault: dict[str, Any] | None = None
    interfaces: list[Interface] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    #: Before a resize that is neither confirmed nor reverted: flavor, host, state.
    old_flavor: Flavor | None = None
    old_host: str | None = None
    old_state: str | None = None
    shelved_image_id: str | None = None
    deleted: bool = False

    @property
    def instance_name(self) -> str:
        """The name by which its hypervisor knows it."""
        return f"instance-{self.number:08x}"

    @property
    def volume_backed(self) -> bool:
        """Whether it boots from a volume."""
        return any(one.boot for one in self.attachments)


_NESTED: dict[str, dict[str, type]] = {
    "Server": {"flavor": Flavor, "old_flavor": Flavor, "interfaces": Interface, "attachments": Attachment},
}


def dump(record: Any) -> dict[str, Any]:
    """Return a record as JSON-able data."""
    return asdict(record)


def load(kind: type[R], data: dict[str, Any]) -> R:
    """Return the record that `dump` made the data of."""
    values = {one.name: data[one.name] for one in fields(kind) if one.name in data}  # type: ignore[arg-type]
    for name, inner in _NESTED.get(kind.__name__, {}).items():
        value = values.get(name)
        if isinstance(value, list):
            values[name] = [load(inner, item) for item in value]
        elif value is not None:
            values[name] = load(inner, value)
    return kind(**values)


def isotime(unix_s: float) -> str:
    """Return a time as most of the API shows it: 2026-01-31T12:00:00Z."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def naive_time(unix_s: float | None) -> str | None:
    """Return a time as the older parts of the API show it: 2026-01-31T12:00:00.000000."""
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def host_id(host: str | None, project_id: str) -> str:
    """Return what a user sees instead of the host's name (`nova/utils.py`: generate_hostid)."""
    return hashlib.sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""
