"""Cold moves of a guest, to another host or another size: leave, arrive, then confirm or revert.

Until the move is confirmed the host that the guest left holds its claim and its disks, and it lists the guest as shut
down, as libvirt does. Where the host stays the same it holds both sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from nova_fakes.exceptions import Conflict
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.guest import Guest, GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Change
from nova_fakes.virt.nic import Nic

__all__ = ["arrive", "confirm", "leave", "revert"]


def leave(host: Hypervisor, uuid: str) -> Guest:
    """Shut a guest down on the host that it is to leave, and remove its interfaces; all or nothing.

    :raises GuestNotFound: it is not there
    :raises Conflict: an earlier resize on this host is neither confirmed nor reverted
    """
    guest = host.guest(uuid, "migrate_disk")
    with host.operation(guest, "migrate_disk"):
        if uuid in host.retained:
            raise Conflict(f"guest {uuid} has been resized on host {host.name} already: confirm or revert that first")
        host.change(uuid, "power_off")
        host.unplug(uuid)
        guest.outgoing = True
    return guest


def arrive(
    host: Hypervisor,
    spec: GuestSpec,
    nics: dict[str, Nic] | None,
    volumes: Iterable[Volume],
    *,
    power_on: bool,
    plugging: AbstractContextManager[Any] | None = None,
) -> Guest:
    """Make a guest on the host that it moves to.

    Where that is the host that it left, the guest as it was is retained. Whatever fails, it is as it was.

    :raises NovaFakesError: what :meth:`Hypervisor.spawn` raises
    """
    host.check("finish_migration", spec)
    left = host.guests.get(spec.uuid)
    # No operation on what it was may go on beside those on what it becomes: they have their interfaces in common.
    with nullcontext() if left is None else left.lock:
        retained = _retain(host, spec.uuid)
        try:
            return host.spawn(spec, nics, volumes, power_on=power_on, plugging=plugging, operation="finish_migration")
        except BaseException:
            if retained is not None:
                _put_back(host, retained)
            raise


def confirm(host: Hypervisor, uuid: str) -> None:
    """Give up what the host that the guest left still holds of it; nothing is no error."""
    host.check("confirm_migration")
    guest = host.guests.get(uuid)
    with host.lock:
        retained = host.retained.get(uuid)
        if retained is not None:
            host.journal.change(Change(host.name, uuid, None, "retained"))
            del host.retained[uuid]
            host.capacity.release(retained.claim, host.clock.now())
    if retained is None:
        if guest is None or not guest.outgoing:
            host.drop_disks(uuid)
            return
        host.destroy(uuid)
    host.journal.record(host.clock.now(), host.name, uuid, "confirm_migration")


def revert(
    host: Hypervisor,
    spec: GuestSpec,
    nics: dict[str, Nic] | None,
    volumes: Iterable[Volume],
    *,
    power_on: bool,
    plugging: AbstractContextManager[Any] | None = None,
) -> Guest:
    """Bring a guest back on the host that it left, in its old size; where that fails it waits for another attempt.

    :raises NovaFakesError: what :meth:`Hypervisor.boot` or :meth:`Hypervisor.spawn` raises
    """
    uuid = spec.uuid
    host.check("finish_revert_migration", spec)
    if uuid in host.retained:
        # The guest in its new size is normally gone by now; a move that failed half-way may have left it.
        host.destroy(uuid)
    guest = host.retained.get(uuid) or host.guests.get(uuid)
    if guest is None:
        # Its definition went with a move across cells; its disks stayed.
        return host.spawn(
            spec, nics, volumes, power_on=power_on, plugging=plugging, operation="finish_revert_migration"
        )
    operation = host.operation(guest, "finish_revert_migration", Change(host.name, uuid, None, "retained"))
    with guest.lock, _returned(host, guest), operation:
        guest.outgoing = False
        guest.volumes = {volume.device: volume for volume in volumes}
        if nics is not None:
            host.exchange_nics(guest, nics)
        if power_on:
            host.boot(uuid, "power_on", plugging=plugging)
    return guest


@contextmanager
def _returned(host: Hypervisor, guest: Guest) -> Iterator[None]:
    """Let a guest that a resize on this host retained be the host's again, unless what follows fails."""
    if host.retained.get(guest.uuid) is not guest:
        yield
        return
    _put_back(host, guest)
    try:
        yield
    except BaseException:
        _retain(host, guest.uuid)
        raise


def _retain(host: Hypervisor, uuid: str) -> Guest | None:
    """Let a guest that has left make room for what it becomes; the journal follows when that is there."""
    with host.lock:
        guest = host.guests.get(uuid)
        if guest is None or not guest.outgoing:
            return None
        del host.guests[uuid]
        host.retained[uuid] = guest
        _correct_after_crash(host, guest, "retained", "guest")
        return guest


def _put_back(host: Hypervisor, guest: Guest) -> None:
    with host.lock:
        host.retained.pop(guest.uuid, None)
        host.guests[guest.uuid] = guest
        _correct_after_crash(host, guest, "guest", "retained")


def _correct_after_crash(host: Hypervisor, guest: Guest, role: str, other: str) -> None:
    """Let the journal know what a guest is here, where a crash has found it as something else."""
    if host.down:
        host.correct(Change(host.name, guest.uuid, guest.to_record(), role), Change(host.name, guest.uuid, None, other))
