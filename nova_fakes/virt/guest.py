"""A guest: what it was made from, its power-state machine, and the time for which it has run.

The numbers of the power states are nova's (``nova/compute/power_state.py``), so that the driver need not translate them
on its most frequent call.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from typing import Any, NamedTuple

from nova_fakes.exceptions import DeviceInUse, InvalidInput, InvalidTransition
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.equipment import CPU_ITEM, Equipment
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.workload import DEFAULT, Workload

__all__ = ["TRANSITIONS", "Claim", "Guest", "GuestSpec", "State"]


class State(IntEnum):
    """Power states, by nova's numbers."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7

    def __str__(self) -> str:
        return self.name.lower()


_ON = frozenset({State.RUNNING, State.PAUSED, State.SUSPENDED})
_ANY = frozenset(State)

#: operation → (states in which it is allowed, the state after it). A state that is there already is no error where
#: libvirt takes it for success: pausing a paused domain, stopping a stopped one.
TRANSITIONS: Mapping[str, tuple[frozenset[State], State]] = {
    "power_on": (frozenset({State.SHUTDOWN, State.CRASHED, State.RUNNING, State.NOSTATE}), State.RUNNING),
    "power_off": (_ANY, State.SHUTDOWN),
    "pause": (frozenset({State.RUNNING, State.PAUSED}), State.PAUSED),
    "unpause": (frozenset({State.PAUSED, State.RUNNING}), State.RUNNING),
    "suspend": (frozenset({State.RUNNING, State.PAUSED}), State.SUSPENDED),
    "resume": (frozenset({State.SUSPENDED}), State.RUNNING),
    "soft_reboot": (frozenset({State.RUNNING}), State.RUNNING),
    "hard_reboot": (_ANY, State.RUNNING),
    "rescue": (_ANY, State.RUNNING),
    "unrescue": (_ANY, State.RUNNING),
    "crash": (_ON, State.CRASHED),
    "power_loss": (_ANY, State.SHUTDOWN),
}

#: Operations after which the guest has booted afresh.
_BOOTS = frozenset({"power_on", "hard_reboot", "soft_reboot", "rescue", "unrescue"})


class Claim(NamedTuple):
    """Capacity that something takes up on a host.

    :param vcpus: shared processors; those that the guest has for itself are among the items
    :param items: of the host, that nobody else can have meanwhile
    :param resources: resource classes other than these, and how much of each
    :param node: of the host, where it has several
    """

    vcpus: int
    memory_mb: int
    disk_gb: int
    items: tuple[str, ...] = ()
    resources: tuple[tuple[str, int], ...] = ()
    node: str | None = None

    @property
    def pcpus(self) -> int:
        """Processors that the guest has for itself."""
        return sum(item.startswith(CPU_ITEM) for item in self.items)

    @classmethod
    def total(cls, claims: Iterable[Claim]) -> Claim:
        """Return what these claims take up together, items and resource classes in the order of their names."""
        claims = list(claims)
        resources: Counter[str] = Counter()
        for claim in claims:
            resources.update(dict(claim.resources))
        return cls(
            sum(claim.vcpus for claim in claims),
            sum(claim.memory_mb for claim in claims),
            sum(claim.disk_gb for claim in claims),
            tuple(sorted(item for claim in claims for item in claim.items)),
            tuple(sorted((name, amount) for name, amount in resources.items() if amount)),
        )

    @classmethod
    def from_record(cls, record: Sequence[Any]) -> Claim:
        """Make it again from what JSON made of it."""
        vcpus, memory_mb, disk_gb, *rest = record
        if not rest:
            return cls(vcpus, memory_mb, disk_gb)
        items, resources, node = rest
        return cls(vcpus, memory_mb, disk_gb, tuple(items), tuple((name, amount) for name, amount in resources), node)


@dataclass(slots=True)
class GuestSpec:
    """What a guest is made from.

    :param uuid: of the instance
    :param name: by which the hypervisor knows it (``instance-0000002a``)
    :param image: identifier of the image; None when there is none
    :param volume_backed: the root disk is a volume, so that `root_gb` takes no room on the host
    :param files: injected at the first boot: (path, contents) pairs
    :param workload: name of what it is busy with; None: the default
    :param equipment: what else it has; None: nothing
    :param node: on which it is to be, where its host has several; None: the first
    :param flavor: name of the flavor

    A guest and the journal hold it as it is: do not change one that was used, make another (``dataclasses.replace``).
    """

    uuid: str
    name: str
    vcpus: int
    memory_mb: int
    root_gb: int
    ephemeral_gb: int = 0
    swap_mb: int = 0
    image: str | None = None
    volume_backed: bool = False
    display_name: str | None = None
    project_id: str | None = None
    hostname: str | None = None
    key_name: str | None = None
    config_drive: bool = False
    os_type: str | None = None
    admin_password: str | None = None
    files: tuple[tuple[str, str], ...] = ()
    workload: str | None = None
    equipment: Equipment | None = None
    node: str | None = None
    flavor: str | None = None

    def check(self) -> None:
        """Refuse a guest that no hypervisor could make.

        :raises InvalidInput: names the field, its value and the cure
        """
        if self.vcpus < 1:
            raise InvalidInput(f"vcpus of guest {self.uuid}", self.vcpus, "give 1 or more")
        if self.memory_mb < 1:
            raise InvalidInput(f"memory_mb of guest {self.uuid}", self.memory_mb, "give 1 or more")
        if self.root_gb < 0 or self.ephemeral_gb < 0 or self.swap_mb < 0:
            sizes = (self.root_gb, self.ephemeral_gb, self.swap_mb)
            raise InvalidInput(f"disk sizes of guest {self.uuid}", sizes, "give 0 or more")

    def claim(self) -> Claim:
        """Return what the guest takes up, as nova's scheduler counts it (``nova/scheduler/utils.py``)."""
        local_gb = self.ephemeral_gb + -(-self.swap_mb // 1024)
        disk_gb = local_gb if self.volume_backed else local_gb + self.root_gb
        equipment = self.equipment
        if equipment is None:
            return Claim(self.vcpus, self.memory_mb, disk_gb, node=self.node)
        return Claim(
            self.vcpus - len(equipment.pinned_cpus),
            self.memory_mb,
            disk_gb,
            equipment.items(),
            tuple(equipment.resources.items()),
            self.node,
        )

    def to_record(self) -> dict[str, Any]:
        """Return everything about it, ready for JSON."""
        record = {name: getattr(self, name) for name in _SPEC_FIELDS}
        if self.equipment is not None:
            record["equipment"] = asdict(self.equipment)
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> GuestSpec:
        """Make it again from what :meth:`to_record` returned."""
        values = {**record, "files": tuple((path, contents) for path, contents in record["files"])}
        if values.get("equipment") is not None:
            values["equipment"] = Equipment.from_record(values["equipment"])
        return cls(**values)


_SPEC_FIELDS = tuple(one.name for one in fields(GuestSpec))


@dataclass(slots=True, eq=False)
class Guest:
    """One guest on one host. What changes it holds its lock, and its host's too while fields change.

    :param claim: what its host holds for it
    :param seed: of its statistics
    :param workload: what it is busy with
    """

    spec: GuestSpec
    claim: Claim
    created_at_s: float
    seed: int
    workload: Workload = DEFAULT
    state: State = State.NOSTATE
    nics: dict[str, Nic] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    #: Image of the rescue system while it runs instead of the guest's own.
    rescue_image: str | None = None
    quiesced: bool = False
    #: Ids of the interfaces that its host's realizer has made, or may have made before a restart.
    wired: frozenset[str] = frozenset()
    #: Its disks are being carried to another flavor or host; what remains here waits for confirm or revert.
    outgoing: bool = False
    #: Held by the one operation that is at work on it; taken before any host's lock.
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    #: An operation is at work on it.
    busy: bool = False
    #: What it has read and written itself, by disk: requests and bytes read, requests and bytes written.
    traffic: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    #: How long it had run when a volume was attached, by disk, seconds; the volume's counters begin there.
    attached_s: dict[str, float] = field(default_factory=dict)
    booted_at_s: float = 0.0
    _ran_s: float = 0.0
    _since_s: float | None = None

    @property
    def uuid(self) -> str:
        """UUID of the instance."""
        return self.spec.uuid

    @property
    def name(self) -> str:
        """The name by which the hypervisor knows it."""
        return self.spec.name

    @property
    def display_name(self) -> str:
        """The name that its user gave it."""
        return self.spec.display_name or self.spec.name

    @property
    def flavor(self) -> str | None:
        """Name of the flavor that it was made by."""
        return self.spec.flavor

    @property
    def project_id(self) -> str | None:
        """The project that owns it."""
        return self.spec.project_id

    @property
    def rescued(self) -> bool:
        """Whether the rescue system runs instead of its own."""
        return self.rescue_image is not None

    def boots_from(self, device: str) -> bool:
        """Tell whether a volume at that device, without ``/dev/``, is its root disk."""
        return self.spec.volume_backed and device == "vda"

    def active_s(self, now_s: float) -> float:
        """Return for how many seconds it has run since it was last powered on; pauses do not count."""
        since_s = self._since_s
        return self._ran_s if since_s is None else self._ran_s + now_s - since_s

    def disk_s(self, device: str, now_s: float) -> float:
        """Return for how many seconds it has had a disk, of those for which it has run."""
        return self.active_s(now_s) - self.attached_s.get(device, 0.0)

    def require(self, operation: str) -> State:
        """Return the power state after an operation that the present one allows.

        :raises InvalidTransition: it does not
        """
        allowed, target = TRANSITIONS[operation]
        if self.state not in allowed:
            states = " or ".join(sorted(str(one) for one in allowed))
            raise InvalidTransition(
                f"guest {self.uuid} is {self.state}: {operation} needs it to be {states}; bring it there first"
            )
        return target

    def apply(self, operation: str, now_s: float) -> None:
        """Change the power state as the operation does.

        :raises InvalidTransition: the present state does not allow it
        """
        target = self.require(operation)
        state = self.state
        if state is target and operation not in _BOOTS:
            return
        if operation == "power_on" and state is target:
            return
        self._ran_s = self.active_s(now_s)
        self._since_s = now_s if target is State.RUNNING else None
        if operation in _BOOTS:
            # The emulator process of a hard reboot is a new one: its counters begin at nought, as libvirt's do.
            if operation != "soft_reboot":
                self._ran_s = 0.0
                self.traffic, self.attached_s = {}, {}
            self.booted_at_s = now_s
            self.quiesced = False
        self.state = target

    def pause_for_plugging(self) -> None:
        """Stand paused before the first instruction, as libvirt keeps a guest whose ports are not up yet."""
        self.state = State.PAUSED

    def start(self, now_s: float) -> None:
        """Boot for the first time."""
        self.state = State.RUNNING
        self.booted_at_s = self._since_s = now_s
        self._ran_s = 0.0

    def attach(self, volume: Volume, now_s: float) -> None:
        """Attach a volume, whose counters begin at nought.

        :raises DeviceInUse: another volume has that device, or it has another device
        """
        present = self.volumes.get(volume.device)
        if present is not None and present.volume_id != volume.volume_id:
            raise DeviceInUse(
                f"device {volume.device} of guest {self.uuid} holds volume {present.volume_id}: "
                f"detach it or attach {volume.volume_id} as another device"
            )
        self.put(volume)
        if present is None:
            self.attached_s = {**self.attached_s, volume.device: self.active_s(now_s)}
            self.traffic = {name: counts for name, counts in self.traffic.items() if name != volume.device}

    def put(self, volume: Volume) -> None:
        """Let the guest have a volume as its device, whatever was there.

        :raises DeviceInUse: it has the volume as another device
        """
        for other in self.volumes.values():
            if other.device != volume.device and other.volume_id == volume.volume_id is not None:
                raise DeviceInUse(f"guest {self.uuid} has volume {volume.volume_id} as {other.device} already")
        # A new mapping each time: whoever reads the old one needs no lock.
        self.volumes = {**self.volumes, volume.device: volume}

    def marks(self) -> tuple[Any, ...]:
        """Return what operations change, for :meth:`restore` to put back."""
        return (
            self.spec,
            self.claim,
            self.state,
            self.nics,
            self.volumes,
            self.attached_s,
            self.traffic,
            self.rescue_image,
            self.quiesced,
            self.outgoing,
            self.booted_at_s,
            self._ran_s,
            self._since_s,
        )

    def restore(self, marks: tuple[Any, ...]) -> None:
        """Put back what :meth:`marks` returned: the operation did not succeed after all."""
        (
            self.spec,
            self.claim,
            self.state,
            self.nics,
            self.volumes,
            self.attached_s,
            self.traffic,
            self.rescue_image,
            self.quiesced,
            self.outgoing,
            self.booted_at_s,
            self._ran_s,
            self._since_s,
        ) = marks

    def to_record(self) -> dict[str, Any]:
        """Return everything that must outlive the process, ready for JSON."""
        return {
            "spec": self.spec.to_record(),
            "claim": list(self.claim),
            "created_at_s": self.created_at_s,
            "seed": self.seed,
            "state": int(self.state),
            "nics": [nic.info for nic in self.nics.values()],
            "volumes": [volume.to_record() for volume in self.volumes.values()],
            "rescue_image": self.rescue_image,
            "quiesced": self.quiesced,
            "outgoing": self.outgoing,
            "booted_at_s": self.booted_at_s,
            "ran_s": self._ran_s,
            "attached_s": self.attached_s,
            "since_s": self._since_s,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Guest:
        """Make the guest again from what :meth:`to_record` returned."""
        nics = [Nic(info) for info in record["nics"]]
        volumes = [Volume.from_record(volume) for volume in record["volumes"]]
        return cls(
            spec=GuestSpec.from_record(record["spec"]),
            claim=Claim.from_record(record["claim"]),
            created_at_s=record["created_at_s"],
            seed=record["seed"],
            state=State(record["state"]),
            nics={nic.id: nic for nic in nics},
            volumes={volume.device: volume for volume in volumes},
            rescue_image=record["rescue_image"],
            quiesced=record.get("quiesced", False),
            wired=frozenset() if record["outgoing"] else frozenset(nic.id for nic in nics),
            outgoing=record["outgoing"],
            booted_at_s=record["booted_at_s"],
            attached_s=record.get("attached_s", {}),
            _ran_s=record["ran_s"],
            _since_s=record["since_s"],
        )
