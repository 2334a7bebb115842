"""The operations of a journal made again in another fleet, each at its own moment of a clock that only they move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt import resize
from nova_fakes.virt.event import NOTHING, OK, Event
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor

__all__ = ["REPLAYED", "replay"]


def replay(events: Iterable[Event], fleet: Fleet, hosts: Mapping[str, str] = NOTHING) -> int:
    """Make the operations again that succeeded; the fleet ends as the one ended in which they happened.

    That needs every event from the first guest on, and a fleet of the same seed, workloads and migration bandwidth.

    :param events: of :meth:`Journal.events` or :func:`nova_fakes.virt.event.read_events`, in their order
    :param fleet: has the hosts, no guests yet, and a :class:`ManualClock` that has not passed the first event
    :param hosts: names of the fleet's hosts, by other names that the events have for them
    :returns: how many operations were made
    :raises InvalidInput: its clock cannot be moved, or is past the first event
    :raises HostNotFound: the fleet lacks a host
    :raises NovaFakesError: what an operation raises that does not succeed here; its notes name the event
    """
    clock = fleet.clock
    if not isinstance(clock, ManualClock):
        raise InvalidInput("clock of the fleet", clock, "give it a ManualClock: the events move it")
    stage = _Stage(fleet, clock, hosts)
    made = 0
    for number, event in enumerate(events, 1):
        if number == 1 and event.time < clock.now():
            raise InvalidInput("clock of the fleet", clock.now(), f"begin at {event.time} or earlier: ManualClock(...)")
        act = REPLAYED.get(event.operation)
        if act is None or event.outcome != OK:
            continue
        try:
            stage.act(act, event)
        except Exception as error:
            error.add_note(f"event {number}: {event.operation} of guest {event.guest} on host {event.host}")
            raise
        made += 1
    return made


class _Stage:
    """Where it is made again: the fleet, its clock, and its names of the hosts."""

    def __init__(self, fleet: Fleet, clock: ManualClock, hosts: Mapping[str, str]) -> None:
        self.fleet = fleet
        self._clock = clock
        self._hosts = hosts

    def name(self, host: str) -> str:
        return self._hosts.get(host, host)

    def act(self, act: Action, event: Event) -> None:
        self._clock.advance_to(event.details.get("began_s", event.time))
        act(self, self.fleet.hypervisor(self.name(event.host)), event)
        self._clock.advance_to(event.time)

    @contextmanager
    def until(self, time_s: float) -> Iterator[None]:
        """Let the time pass for which ports were waited for."""
        yield
        self._clock.advance_to(time_s)


Action = Callable[[_Stage, Hypervisor, Event], Any]


def _parts(stage: _Stage, event: Event) -> dict[str, Any]:
    """Return what a guest is made of."""
    details = event.details
    return {
        "spec": details["spec"],
        "nics": details.get("nics"),
        "volumes": details.get("volumes", ()),
        "power_on": details.get("power_on", True),
        "plugging": stage.until(event.time) if "began_s" in details else None,
    }


def _spawn(stage: _Stage, host: Hypervisor, event: Event) -> None:
    host.spawn(**_parts(stage, event), operation=event.operation)


def _arrive(stage: _Stage, host: Hypervisor, event: Event) -> None:
    resize.arrive(host, **_parts(stage, event))


def _revert(stage: _Stage, host: Hypervisor, event: Event) -> None:
    resize.revert(host, **_parts(stage, event))


def _live_migrate(stage: _Stage, host: Hypervisor, event: Event) -> None:
    if "spec" not in event.details:
        stage.fleet.migrations.switch_over(host, stage.fleet.migrations.find(host, _guest(event)))
    elif _guest(event) not in host.guests:  # it is there already where both hosts are of one fleet now
        parts = _parts(stage, event)
        paused = event.details.get("paused", False)
        stage.fleet.migrations.finish_arrival(host, parts["spec"], parts["nics"], parts["volumes"], paused=paused)


def _prepare(stage: _Stage, host: Hypervisor, event: Event) -> None:
    details = event.details
    stage.fleet.migrations.prepare(host, details["spec"], details["nics"], details["volumes"])


def _begin(stage: _Stage, host: Hypervisor, event: Event) -> None:
    details = event.details
    stage.fleet.migrations.begin(
        host,
        _guest(event),
        stage.name(details["destination"]),
        block=details["block"],
        auto_converge=details["auto_converge"],
    )


def _end(stage: _Stage, host: Hypervisor, event: Event) -> None:
    stage.fleet.migrations.end(host, stage.fleet.migrations.find(host, _guest(event)))


def _change(stage: _Stage, host: Hypervisor, event: Event) -> None:
    host.change(_guest(event), event.operation)


def _boot(stage: _Stage, host: Hypervisor, event: Event) -> None:
    host.boot(_guest(event), event.operation, event.details.get("nics"), event.details.get("volumes"))


def _quiesce(stage: _Stage, host: Hypervisor, event: Event) -> None:
    host.quiesce(_guest(event), event.operation == "quiesce")


def _guest(event: Event) -> str:
    if event.guest is None:
        raise InvalidInput(f"guest of {event.operation}", None, "the event has to name one")
    return event.guest


def _host(method: Callable[..., Any], *names: str) -> Action:
    """Return the action that calls a host's method with those details."""
    return lambda stage, host, event: method(host, *(event.details[name] for name in names))


def _of_guest(method: Callable[..., Any], *names: str) -> Action:
    """Return the action that calls a method of a host, or about one, with the guest and those details."""
    return lambda stage, host, event: method(host, _guest(event), *(event.details.get(name) for name in names))


#: What is made again, by operation; the other events tell of no change, or of one that another event tells of too.
REPLAYED: Mapping[str, Action] = {
    "spawn": _spawn,
    "unshelve": _spawn,
    "finish_migration": _arrive,
    "finish_revert_migration": _revert,
    "migrate_disk": _of_guest(resize.leave),
    "confirm_migration": _of_guest(resize.confirm),
    "destroy": lambda stage, host, event: host.destroy(
        _guest(event), keep_disks=event.details.get("keep_disks", False)
    ),
    "drop_disks": _of_guest(Hypervisor.drop_disks),
    **dict.fromkeys(("pause", "unpause", "suspend", "power_off", "soft_reboot", "crash", "power_loss"), _change),
    **dict.fromkeys(("power_on", "hard_reboot", "resume"), _boot),
    "rescue": _of_guest(Hypervisor.rescue, "image", "password"),
    "unrescue": _of_guest(Hypervisor.unrescue),
    **dict.fromkeys(("quiesce", "unquiesce"), _quiesce),
    "set_password": _of_guest(Hypervisor.set_password, "password"),
    "inject_file": _of_guest(Hypervisor.inject_file, "path", "contents"),
    "console": _of_guest(Hypervisor.console, "console"),
    "plug": _of_guest(Hypervisor.plug, "nics"),
    "unplug": _of_guest(Hypervisor.unplug, "nics"),
    "attach_interface": _of_guest(Hypervisor.attach_nic, "nic"),
    "detach_interface": _of_guest(Hypervisor.detach_nic, "vif_id"),
    "attach_volume": _of_guest(Hypervisor.attach_volume, "volume"),
    "detach_volume": _of_guest(Hypervisor.detach_volume, "device"),
    "swap_volume": _of_guest(Hypervisor.swap_volume, "volume"),
    "extend_volume": lambda stage, host, event: host.extend_volume(
        _guest(event), event.details["volume_id"], event.details["volume"].size_bytes
    ),
    "mount_share": _of_guest(Hypervisor.mount_share, "share_id"),
    "umount_share": _of_guest(Hypervisor.umount_share, "share_id"),
    "pre_live_migration": _prepare,
    "live_migration_start": _begin,
    "live_migration_force": lambda stage, host, event: stage.fleet.migrations.force(
        host, _guest(event), post_copy=event.details["post_copy"]
    ),
    "live_migration_abort": lambda stage, host, event: stage.fleet.migrations.abort(host, _guest(event)),
    "live_migration": _live_migrate,
    "live_migration_end": _end,
    "live_migration_rollback": lambda stage, host, event: stage.fleet.migrations.abort_arrival(host, _guest(event)),
    "host_add": lambda stage, host, event: host.begin(event.time, event.details["booted_at_s"]),
    "host_crash": _host(Hypervisor.crash),
    "host_recover": _host(Hypervisor.recover),
    "host_maintenance_mode": _host(Hypervisor.set_maintenance, "maintenance"),
    "set_host_enabled": _host(Hypervisor.set_enabled, "enabled"),
    "cache_image": _host(Hypervisor.cache_image, "image"),
    "manage_image_cache": _host(Hypervisor.drop_images, "images"),
}
