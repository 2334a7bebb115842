"""Cold moves of a guest, to another host or another size: leave, arrive, then confirm or revert.

Until the move is confirmed the host that the guest left holds its claim and its disks, and it lists the guest as shut
down, as libvirt does. Where the host stays the same it holds both sizes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from nova_fakes.virt.disks import Volume
from nova_fakes.virt.guest import Guest, GuestSpec
from nova_fakes.virt.host import failure_recorded
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.nic import Nic

__all__ = ["arrive", "confirm", "leave", "revert"]


def leave(host: Hypervisor, uuid: str) -> Guest:
    """Shut a guest down on the host that it is to leave, and remove its interfaces. Whatever fails, it is as it was.

    :raises GuestNotFound: it is not there
    """
    try:
        guest = host.guest(uuid, "migrate_disk")
        host.check("power_off", guest)
        now_s = host.clock.now()
        with host.lock:
            marks = guest.progress_marks()
            guest.apply("power_off", now_s)
        try:
            host.check("unplug", guest)
            host.unwire(guest)
        except BaseException:
            with host.lock:
                guest.restore(marks)
            raise
        with host.lock:
            guest.outgoing = True
        host.record(now_s, uuid, "migrate_disk")
    except BaseException as error:
        host.record_failure(uuid, "migrate_disk", error)
        raise
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
        done_s = _release_retained(host, uuid)
        if done_s is None:
            guest = host.guests.get(uuid)
            if guest is None or not guest.outgoing:
                host.drop_disks(uuid)
                return
            host.check("destroy", guest)
            done_s = host.remove(guest)
        if done_s is not None:
            host.record(done_s, uuid, "confirm_migration")


def revert(
    host: Hypervisor,
    spec: GuestSpec,
    nics: dict[str, Nic] | None,
    volumes: Iterable[Volume],
    *,
    power_on: bool,
    plugging: AbstractContextManager[Any] | None = None,
) -> Guest:
    """Bring a guest back on the host that it left, in its old size.

    :raises NovaFakesError: what :meth:`Hypervisor.boot` or :meth:`Hypervisor.spawn` raises
    """
    uuid = spec.uuid
    if uuid not in host.retained and uuid not in host.guests:
        # Its definition went with a move across cells; its disks stayed.
        return host.spawn(
            spec, nics, volumes, power_on=power_on, plugging=plugging, operation="finish_revert_migration"
        )
    with failure_recorded(host, uuid, "finish_revert_migration"):
        host.check("finish_revert_migration", spec)
        replaced = uuid in host.retained
        if replaced:
            _replace_with_retained(host, uuid)
        try:
            return _come_back(host, spec, nics, tuple(volumes), power_on, plugging)
        except BaseException:
            if replaced:
                host.record(host.clock.now(), uuid, "put_back")
            raise


def put_back(host: Hypervisor, uuid: str) -> None:
    """Bring back the guest as it was before a resize on this host, which keeps its disks; it stays shut down."""
    with failure_recorded(host, uuid, "put_back"):
        _replace_with_retained(host, uuid)
        host.record(host.clock.now(), uuid, "put_back")


def _come_back(
    host: Hypervisor,
    spec: GuestSpec,
    nics: dict[str, Nic] | None,
    volumes: tuple[Volume, ...],
    power_on: bool,
    plugging: AbstractContextManager[Any] | None,
) -> Guest:
    """Let a guest be at home again on the host that it left; whatever fails, it is as it was."""
    details: dict[str, Any] = {"spec": spec, "volumes": volumes, "power_on": power_on}
    if nics is not None:
        details["nics"] = nics
    guest = host.guests[spec.uuid]
    before = guest.nics, guest.volumes, guest.outgoing
    try:
        with host.lock:
            guest.outgoing = False
            guest.volumes = {volume.device: volume for volume in volumes}
            if nics is not None:
                guest.nics = nics
        if power_on:
            host.check("power_on", guest)
            host.bring_up(guest, "power_on", plugging=plugging, recorded_as="finish_revert_migration", details=details)
        else:
            host.record(host.clock.now(), spec.uuid, "finish_revert_migration", details)
    except BaseException:
        guest.nics, guest.volumes, guest.outgoing = before
        raise
    return guest


def _retain(host: Hypervisor, uuid: str) -> Guest | None:
    with host.lock:
        guest = host.guests.get(uuid)
        if guest is None or not guest.outgoing:
            return None
        del host.guests[uuid]
        host.retained[uuid] = guest
        return guest


def _release_retained(host: Hypervisor, uuid: str) -> float | None:
    """Give up the guest as it was before a resize on this host; return when, None where there is none."""
    now_s = host.clock.now()
    with host.lock:
        retained = host.retained.pop(uuid, None)
        if retained is None:
            return None
        host.capacity.release(retained.claim, now_s)
    return now_s


def _replace_with_retained(host: Hypervisor, uuid: str) -> None:
    # The guest in its new size is normally gone by now; a move that failed half-way may have left it.
    newer = host.guests.get(uuid)
    if newer is not None:
        host.check("destroy", newer)
        host.remove(newer)
    with host.lock:
        _put_back(host, host.retained[uuid])


def _put_back(host: Hypervisor, guest: Guest) -> None:
    with host.lock:
        host.retained.pop(guest.uuid, None)
        host.guests[guest.uuid] = guest
