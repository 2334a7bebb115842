"""Cold moves of a guest, to another host or another size: leave, arrive, then confirm or revert.

Until the move is confirmed the host that the guest left holds its claim and its disks, and it lists the guest as shut
down, as libvirt does. Where the host stays the same it holds both sizes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from nova_fakes.exceptions import Conflict
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.event import NOTHING, Event
from nova_fakes.virt.guest import Guest, GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.records import failure_recorded
from nova_fakes.virt.undo import Operation

__all__ = ["arrive", "confirm", "leave", "revert"]


def leave(host: Hypervisor, uuid: str) -> Guest:
    """Shut a guest down on the host that it is to leave, and remove its interfaces; all or nothing.

    :raises GuestNotFound: it is not there
    :raises Conflict: an earlier resize on this host is neither confirmed nor reverted
    """
    with host.operation(uuid, "migrate_disk") as act:
        guest = act.guest
        if uuid in host.retained:
            raise Conflict(f"guest {uuid} has been resized on host {host.name} already: confirm or revert that first")
        host.check("power_off", guest)
        act.apply("power_off")
        host.check("unplug", guest)
        host.unwire(guest)
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
    with failure_recorded(host, uuid, "confirm_migration"):
        host.check("confirm_migration", host.retained.get(uuid) or host.guests.get(uuid))
        event = _release_retained(host, uuid)
        if event is None:
            guest = host.guests.get(uuid)
            if guest is None or not guest.outgoing:
                host.drop_disks(uuid)
                return
            host.check("destroy", guest)
            with guest.lock:
                event = host.let_go(guest, "confirm_migration")
    host.journal.tell(event)


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
    uuid, name, volumes = spec.uuid, "finish_revert_migration", tuple(volumes)
    retained = host.retained.get(uuid)
    if retained is None and uuid not in host.guests:
        # Its definition went with a move across cells; its disks stayed.
        return host.spawn(spec, nics, volumes, power_on=power_on, plugging=plugging, operation=name)
    details: dict[str, Any] = {"spec": spec, "volumes": volumes, "power_on": power_on}
    if nics is not None:
        details["nics"] = nics
    newer = None if retained is None else host.guests.get(uuid)
    migration = None if newer is None else host.migrations.get(uuid)
    with nullcontext() if newer is None else newer.lock, Operation(host, uuid, name, details, retained=retained) as act:
        guest = act.guest
        if retained is not None:
            _replace(host, newer, act)
        guest.outgoing = False
        guest.volumes = {volume.device: volume for volume in volumes}
        if power_on:
            host.check("power_on", guest)
            host.bring_up(act, "power_on", nics, plugging)
        elif nics is not None:
            host.exchange_nics(guest, nics)
    if migration is not None:
        migration.abort()
    return guest


def _retain(host: Hypervisor, uuid: str) -> Guest | None:
    """Let a guest that has left make room for what it becomes; the journal follows when that is there."""
    with host.lock:
        guest = host.guests.get(uuid)
        if guest is None or not guest.outgoing:
            return None
        del host.guests[uuid]
        host.retained[uuid] = guest
        return guest


def _put_back(host: Hypervisor, guest: Guest) -> None:
    with host.lock:
        del host.retained[guest.uuid]
        host.guests[guest.uuid] = guest
        if host.down:
            host.correct(guest.uuid)


def _release_retained(host: Hypervisor, uuid: str) -> Event | None:
    """Give up the guest as it was before a resize on this host; return the event, None where there is none."""
    with host.lock:
        retained = host.retained.get(uuid)
        if retained is None:
            return None
        host.require_up("confirm_migration")
        now_s = host.clock.now()
        event = host.note(now_s, uuid, "confirm_migration", NOTHING, [host.row(uuid, "retained", None)])
        del host.retained[uuid]
        host.capacity.release(retained.claim, now_s)
    return event


def _replace(host: Hypervisor, newer: Guest | None, act: Operation) -> None:
    """Let a guest that a resize on this host retained be the host's again, unless the operation fails.

    :param newer: what it became, which is normally gone by now; a move that failed half-way may have left it
    """
    guest, now_s = act.guest, host.clock.now()
    uuid = guest.uuid
    act.writes = (host.row(uuid, "retained", None),)
    if newer is not None and host.guests.get(uuid) is not newer:
        newer = None
    if newer is not None:
        host.check("destroy", newer)
        wired = newer.wired
        act.undo_by(lambda: host.rewire(newer, frozenset() if host.down else wired, newer.nics))
        host.unwire(newer)
    with host.lock:
        if newer is not None:
            host.require_here(newer)
            host.forget(uuid, newer.claim, now_s)
        del host.retained[uuid]
        host.guests[uuid] = guest
    act.undo_by(lambda: _replace_again(host, guest, newer))


def _replace_again(host: Hypervisor, guest: Guest, newer: Guest | None) -> None:
    with host.lock:
        del host.guests[guest.uuid]
        host.retained[guest.uuid] = guest
        if newer is not None:
            host.guests[guest.uuid] = newer
            host.capacity.restore(newer.claim)
            if host.down:
                newer.apply("power_loss", host.clock.now())
