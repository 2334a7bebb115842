"""What a guest shows: the boot log on its serial line, and where its consoles listen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from nova_fakes.exceptions import InvalidInput

if TYPE_CHECKING:
    from nova_fakes.virt.guest import Guest

__all__ = ["KINDS", "Console", "Consoles", "boot_log"]

#: Console types and the first port that each uses on a host: VNC's by RFC 6143's registration, the others by QEMU's and
#: VMware's habit.
KINDS = {"vnc": 5900, "spice": 15900, "serial": 25900, "mks": 35900}
_PORTS_PER_KIND = 10_000


@dataclass(frozen=True, slots=True)
class Console:
    """Where one console of one guest listens.

    :param path: access path that nobody else's console has
    """

    kind: str
    port: int
    path: str


class Consoles:
    """The console ports of one host: given out when a console is first asked for, taken back with the guest.

    Its hypervisor serialises the calls.
    """

    def __init__(self) -> None:
        self._ports: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self._free: dict[str, list[int]] = {kind: [] for kind in KINDS}

    def open(self, kind: str, uuid: str) -> Console:
        """Return where that console of the guest listens.

        :raises InvalidInput: no such kind, or every port of the kind is taken
        """
        if kind not in KINDS:
            raise InvalidInput("console", kind, f"use one of {', '.join(KINDS)}")
        ports = self._ports[kind]
        port = ports.get(uuid)
        if port is None:
            free = self._free[kind]
            port = free.pop() if free else KINDS[kind] + len(ports)
            if port >= KINDS[kind] + _PORTS_PER_KIND:
                raise InvalidInput(
                    "console", kind, f"all {_PORTS_PER_KIND} ports of this host are taken; delete guests"
                )
            ports[uuid] = port
        return Console(kind, port, str(uuid5(UUID(uuid), kind)))

    def close(self, uuid: str) -> None:
        """Take back every port of the guest."""
        for kind, ports in self._ports.items():
            port = ports.pop(uuid, None)
            if port is not None:
                self._free[kind].append(port)


def boot_log(guest: Guest, now_s: float) -> str:
    """Return what the guest has written to its serial line since it last booted, up to now by its own time."""
    running_s = max(0.0, min(now_s - guest.booted_at_s, guest.active_s(now_s))) if guest.booted_at_s else 0.0
    return "".join(f"{line}\n" for at_s, line in _lines(guest, running_s) if at_s <= running_s)


def _lines(guest: Guest, running_s: float) -> Iterator[tuple[float, str]]:
    spec = guest.spec
    hostname = spec.hostname or spec.name

    def kernel(at_s: float, text: str) -> tuple[float, str]:
        return at_s, f"[{at_s:12.6f}] {text}"

    yield kernel(0.0, "Linux version 6.1.0-cloud-amd64 (nova-fakes) #1 SMP")
    yield kernel(
        0.0, f"Command line: BOOT_IMAGE=/vmlinuz root=/dev/vda1 console=ttyS0 {'rescue' if guest.rescued else 'ro'}"
    )
    yield kernel(0.01, f"Memory: {spec.memory_mb * 1024}K available")
    yield kernel(0.05, f"smp: Brought up 1 node, {spec.vcpus} CPU{'s' if spec.vcpus != 1 else ''}")
    yield kernel(0.4, "virtio_blk virtio0: [vda] attached")
    for index, nic in enumerate(guest.nics.values()):
        yield kernel(0.5 + 0.01 * index, f"virtio_net eth{index}: {nic.address}")
    if spec.config_drive:
        yield kernel(0.8, "ISO 9660 Extensions: RRIP_1991A (config-2)")
    yield kernel(1.2, "EXT4-fs (vda1): mounted filesystem")
    yield 2.0, "cloud-init: running 'init-local'"
    yield 2.5, f"cloud-init: hostname set to {hostname}"
    if spec.key_name:
        yield 2.8, f"cloud-init: authorized key {spec.key_name}"
    for path, _ in spec.files:
        yield 2.9, f"cloud-init: wrote {path}"
    yield 3.5, f"cloud-init: finished, datasource {'ConfigDrive' if spec.config_drive else 'OpenStack'}"
    yield 4.0, f"{hostname} login:"
    # A line every ten minutes: the log goes on growing for as long as the guest runs.
    for tick in range(1, min(int(running_s // 600), 10_000) + 1):
        yield kernel(600.0 * tick, f"audit: {hostname} up {tick * 10} min")
