"""Operations as nova's compute manager carries them out, on hosts of which anything can be made to fail at any call."""

import contextlib
import sqlite3
from types import SimpleNamespace

from driver_kit import (
    RecordingRealizer,
    RecordingVirtAPI,
    block_devices,
    drive,
    make_flavor,
    make_instance,
    make_vif,
    make_volume,
    spawn,
)

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import RealizerError
from nova_fakes.faults import Faults
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory, PciDevice
from nova_fakes.virt.journal import Journal

EQUIPPED = Inventory(pci=(PciDevice("0000:03:00.1", "8086", "154c"),))
TIMES = ("created_at_s", "booted_at_s", "ran_s", "since_s")


class Struck(Exception):
    """What a call that is made to fail raises where nothing else is fitting."""


class PassingClock(ManualClock):
    """A clock on which waiting lets the time pass."""

    def alarm(self):
        alarm = super().alarm()
        return SimpleNamespace(
            set=alarm.set, clear=alarm.clear, is_set=alarm.is_set, wait=lambda timeout_s: self._pass(alarm, timeout_s)
        )

    def _pass(self, alarm, timeout_s):
        if not alarm.is_set():
            # At this distance from the epoch a float does not tell microseconds.
            self.advance(max(timeout_s, 0.001))
        return alarm.is_set()


class Probe:
    """Hears of every call of one kind, and fails the one that it is told to."""

    def __init__(self, error):
        self.error = error
        self.heard = []
        self.strikes_at = None

    def listen(self, strikes_at=None):
        self.heard = []
        self.strikes_at = strikes_at

    def hear(self, call):
        self.heard.append(call)
        if self.strikes_at == len(self.heard) - 1:
            raise self.error(f"call {self.strikes_at} of {call} is to fail")


class ProbedFaults(Faults):
    def __init__(self, clock, probe):
        super().__init__(clock)
        self.probe = probe
        self.active = True

    def check(self, operation, host, guest=None):
        self.probe.hear(f"{operation}@{host}")


class ProbedRealizer(RecordingRealizer):
    def __init__(self, host, probe):
        super().__init__()
        self.host = host
        self.probe = probe

    def _note(self, call, *details):
        super()._note(call, *details)
        self.probe.hear(f"{call}@{self.host}")


class ProbedStore:
    """A journal's connection."""

    def __init__(self, store, probe):
        self.store = store
        self.probe = probe

    def execute(self, statement, values=()):
        if not statement.startswith("SELECT"):
            verb, table = statement.split()[0].lower(), statement.partition(" INTO ")[2].split(" ")[0]
            self.probe.hear(f"{verb} {values[3]}" if table == "events" else verb)
        return self.store.execute(statement, values)

    def __enter__(self):
        self.store.__enter__()
        return self

    def __exit__(self, *error):
        return self.store.__exit__(*error)

    def close(self):
        self.store.close()


class Stage:
    """Two hosts and one instance.

    :param path: of the journal; None keeps nothing
    :param apart: each host is in a fleet of its own, as in processes of their own
    """

    def __init__(self, path=None, *, apart=False, shared_storage=True):
        self.path = path
        self.apart = apart
        self.probes = {
            "fault": Probe(Struck),
            "realizer": Probe(RealizerError),
            "journal": Probe(sqlite3.OperationalError),
        }
        self.clock = PassingClock()
        fleets = [self._fleet(shared_storage)]
        fleets.append(self._fleet(shared_storage) if apart else fleets[0])
        self.fleets = fleets
        self.hosts = {}
        for name, fleet in zip("ab", fleets, strict=True):
            self.hosts[name] = fleet.add(Hypervisor(name, EQUIPPED, ProbedRealizer(name, self.probes["realizer"])))
        self.a, self.b = (drive(fleet, name, RecordingVirtAPI()) for name, fleet in zip("ab", fleets, strict=True))
        self.instance = make_instance()
        self.vifs = [make_vif(1), make_vif(2)]
        self.volumes = [make_volume("/dev/vdb", "v1")]

    def _fleet(self, shared_storage):
        journal = Journal(self.path)
        if self.path is not None:
            journal._store = ProbedStore(journal._store, self.probes["journal"])
        faults = ProbedFaults(self.clock, self.probes["fault"])
        return Fleet(self.clock, faults, journal, shared_storage=shared_storage)

    def close(self):
        for fleet in self.fleets:
            fleet.journal.close()

    @property
    def block_devices(self):
        return block_devices(*self.volumes)

    def spawn(self, power_on=True):
        spawn(self.a, self.instance, self.vifs, self.volumes, power_on)

    def resized(self):
        self.instance.flavor = make_flavor(2, 1024, 2)

    def back_in_size(self):
        self.instance.flavor = make_flavor()

    def state(self):
        """Return everything that an operation must leave as it was when it fails."""
        return {name: self._host_state(host) for name, host in self.hosts.items()} | {"rows": self.rows()}

    def _host_state(self, host):
        wired = {uuid: set(vifs) for uuid, vifs in host.realizer.wired.items() if vifs}
        return kept(host) | {
            "arrivals": {uuid: (arrival.claim, set(arrival.nics)) for uuid, arrival in host.arrivals.items()},
            "migrations": {uuid: (one, one.forced, one.stands_still) for uuid, one in host.migrations.items()},
            "wired": wired,
            "links": {uuid: host.realizer.links[uuid] for uuid in wired},
            "remembered": {uuid: set(guest.wired) for uuid, guest in host.guests.items()},
        }

    def rows(self):
        """Return the guests' rows of the journal."""
        if self.path is None:
            return []
        with contextlib.closing(sqlite3.connect(self.path)) as store:
            return sorted(store.execute("SELECT * FROM guests"))

    def found_again(self):
        """Return what another process finds in the journal, host by host."""
        journal = Journal(self.path)
        fleet = Fleet(self.clock, journal=journal)
        try:
            return {name: kept(fleet.add(Hypervisor(name))) for name in self.hosts}
        finally:
            journal.close()

    def kept(self):
        """Return what of the present state outlives the process, host by host; arrivals do not."""
        found = {name: kept(host) for name, host in self.hosts.items()}
        for name, host in self.hosts.items():
            for arrival in host.arrivals.values():
                found[name]["used"] = less(found[name]["used"], arrival.claim)
        return found


def kept(host):
    return {
        "used": host.capacity.used,
        "guests": {uuid: guest.to_record() for uuid, guest in host.guests.items()},
        "retained": {uuid: guest.to_record() for uuid, guest in host.retained.items()},
        "left_disks": dict(host.left_disks),
    }


def less(claim, other):
    """Return what is claimed without what one guest claims."""
    items = tuple(item for item in claim.items if item not in other.items)
    rest = (claim.vcpus - other.vcpus, claim.memory_mb - other.memory_mb, claim.disk_gb - other.disk_gb)
    return claim._replace(vcpus=rest[0], memory_mb=rest[1], disk_gb=rest[2], items=items)


def timeless(state):
    """Return a state without the moments at which things happened."""
    if isinstance(state, dict):
        return {key: timeless(value) for key, value in state.items() if key not in TIMES}
    return state


class Failed(Exception):
    """nova's driver reported the failure by a call instead of an exception."""


# What the compute manager does, one atom after the other: it either succeeds or is rolled back as the manager would.


def boot(stage):
    try:
        stage.spawn()
    except Exception:
        stage.a.destroy(None, stage.instance, stage.vifs, stage.block_devices)
        raise


def boot_stopped(stage):
    stage.spawn(power_on=False)


def make_again(stage):
    """As a rebuild or an evacuation does, of which the manager undoes nothing."""
    stage.spawn()


def destroy(stage):
    stage.a.destroy(None, stage.instance, stage.vifs, stage.block_devices)


def destroy_but_keep_disks(stage):
    stage.a.destroy(None, stage.instance, stage.vifs, stage.block_devices, destroy_disks=False)


def clean_up(stage):
    stage.a.cleanup(None, stage.instance, stage.vifs, stage.block_devices)


def live_migrate(stage):
    a, b, instance, vifs, devices = stage.a, stage.b, stage.instance, stage.vifs, stage.block_devices
    data = b.check_can_live_migrate_destination(None, instance, None, None, None, None)
    try:
        data = a.check_can_live_migrate_source(None, instance, data)
    finally:
        b.cleanup_live_migration_destination_check(None, data)
    try:
        data = b.pre_live_migration(None, instance, devices, vifs, None, data)
    except Exception:
        detach_at_destination(stage)
        b.rollback_live_migration_at_destination(None, instance, vifs, block_devices(), migrate_data=data)
        raise
    ended = []

    def recover(context, instance, dest, migrate_data, migration_status="failed"):
        ended.append(migration_status)
        a.rollback_live_migration_at_source(None, instance, migrate_data)
        detach_at_destination(stage)
        b.rollback_live_migration_at_destination(None, instance, vifs, block_devices(), migrate_data=migrate_data)

    a.live_migration(None, instance, "b", lambda *arguments: None, recover, False, data)
    if ended:
        raise Failed(*ended)


def detach_at_destination(stage):
    for volume in stage.volumes:
        stage.b.detach_volume(None, volume["connection_info"], stage.instance, volume["mount_device"])


def leave_behind(stage):
    stage.a.post_live_migration(None, stage.instance, stage.block_devices)
    stage.a.post_live_migration_at_source(None, stage.instance, stage.vifs)
    stage.a.cleanup(None, stage.instance, stage.vifs, stage.block_devices)


def settle_in(stage):
    stage.b.post_live_migration_at_destination(None, stage.instance, stage.vifs, False, stage.block_devices)


def pause(stage):
    stage.a.pause(stage.instance)
    stage.instance.power_state = 3


def leave(stage):
    stage.disks = stage.a.migrate_disk_and_power_off(
        None, stage.instance, "192.0.2.1", make_flavor(2, 1024, 2), stage.vifs, stage.block_devices
    )


def arrive(driver):
    def finish(stage):
        stage.resized()
        getattr(stage, driver).finish_migration(
            None, None, stage.instance, stage.disks, stage.vifs, None, True, None, stage.block_devices, True
        )

    finish.__name__ = f"arrive_at_{driver}"
    return finish


def confirm(stage):
    stage.a.confirm_migration(None, None, stage.instance, stage.vifs)


def give_up(driver):
    def give_up(stage):
        getattr(stage, driver).destroy(None, stage.instance, stage.vifs, stage.block_devices)

    give_up.__name__ = f"give_up_at_{driver}"
    return give_up


def revert(stage):
    stage.back_in_size()
    stage.a.finish_revert_migration(None, stage.instance, stage.vifs, None, stage.block_devices, True)


def revert_stopped(stage):
    stage.back_in_size()
    stage.a.finish_revert_migration(None, stage.instance, stage.vifs, None, stage.block_devices, False)


def attach_volume(stage):
    stage.a.attach_volume(None, make_volume(volume_id="v2")["connection_info"], stage.instance, "/dev/vdc")


def swap_volume(stage):
    old, new = (make_volume(volume_id=name)["connection_info"] for name in ("v2", "v3"))
    stage.a.swap_volume(None, old, new, stage.instance, "/dev/vdc", 4)


def extend_volume(stage):
    stage.a.extend_volume(None, make_volume(volume_id="v3")["connection_info"], stage.instance, 8 << 30)


def detach_volume(stage):
    stage.a.detach_volume(None, make_volume(volume_id="v3")["connection_info"], stage.instance, "/dev/vdc")


def attach_interface(stage):
    stage.a.attach_interface(None, stage.instance, None, make_vif(3))


def detach_interface(stage):
    stage.a.detach_interface(None, stage.instance, make_vif(3))


def direct_vif():
    return make_vif(3) | {"vnic_type": "direct", "profile": {"pci_slot": "0000:03:00.1"}}


def attach_direct_interface(stage):
    stage.a.attach_interface(None, stage.instance, None, direct_vif())


def detach_direct_interface(stage):
    stage.a.detach_interface(None, stage.instance, direct_vif())


def set_out(stage):
    """Begin a live migration whose steps are then taken one by one."""
    stage.b.pre_live_migration(None, stage.instance, stage.block_devices, stage.vifs, None, None)
    stage.migration = stage.a.fleet.migrations.begin(stage.hosts["a"], stage.instance.uuid, "b")


def force(stage):
    stage.a.live_migration_force_complete(stage.instance)


def force_post_copy(stage):
    stage.a.fleet.migrations.force(stage.hosts["a"], stage.instance.uuid, post_copy=True)


def switch_over(stage):
    stage.a.fleet.migrations.switch_over(stage.hosts["a"], stage.migration)


def end(stage):
    stage.a.fleet.migrations.end(stage.hosts["a"], stage.migration)


def unplug_one(stage):
    stage.a.unplug_vifs(stage.instance, [make_vif(2)])


def plug_all(stage):
    stage.a.plug_vifs(stage.instance, stage.vifs)


def power_off(stage):
    stage.a.power_off(stage.instance)


def power_on(stage):
    stage.a.power_on(None, stage.instance, stage.vifs, stage.block_devices)


def unpause(stage):
    stage.a.unpause(stage.instance)


def suspend(stage):
    stage.a.suspend(None, stage.instance)


def resume(stage):
    stage.a.resume(None, stage.instance, stage.vifs, stage.block_devices)


def reboot_softly(stage):
    stage.a.reboot(None, stage.instance, stage.vifs, "SOFT", stage.block_devices)


def reboot_hard_with_other_devices(stage):
    devices = block_devices(make_volume("/dev/vdd", "v4"))
    stage.a.reboot(None, stage.instance, [make_vif(1), make_vif(4)], "HARD", devices)


def rescue(stage):
    stage.a.rescue(None, stage.instance, stage.vifs, None, "secret", stage.block_devices, None)


def unrescue(stage):
    stage.a.unrescue(None, stage.instance)


def set_password(stage):
    stage.a.set_admin_password(stage.instance, "other")


def crash_guest(stage):
    stage.a.trigger_crash_dump(stage.instance)


def leave_disks_of_another_time(stage):
    """The instance was on the other host once, and its disks stayed there."""
    spawn(stage.b, stage.instance)
    stage.b.destroy(None, stage.instance, [], destroy_disks=False)


MOVED = (live_migrate, leave_behind, settle_in)

#: What happens before, what is made to fail, and how the stage is set.
SCENARIOS = {
    "spawn": ((), (boot,), {}),
    "spawn stopped": ((), (boot_stopped, power_on), {}),
    "spawn again where disks were left": (
        (boot, destroy_but_keep_disks),
        (make_again, destroy_but_keep_disks, clean_up),
        {"shared_storage": False},
    ),
    "destroy": ((boot,), (destroy,), {}),
    "live migration": ((boot,), MOVED, {}),
    "live migration with disks": ((leave_disks_of_another_time, boot), MOVED, {"shared_storage": False}),
    "live migration of a paused guest": ((boot, pause), MOVED, {}),
    "live migration between processes": ((boot,), MOVED, {"apart": True}),
    "live migration of a paused guest between processes": ((boot, pause), MOVED, {"apart": True}),
    "forced live migration": ((boot, set_out), (force, switch_over, end, settle_in), {}),
    "forced live migration between processes": ((boot, set_out), (force, switch_over, end), {"apart": True}),
    "forced live migration of a paused guest": ((boot, pause, set_out), (force, switch_over, end), {}),
    "live migration by post-copy": ((boot, set_out), (force_post_copy, switch_over, end), {}),
    "resize": ((boot,), (leave, arrive("b"), confirm), {}),
    "resize between processes": ((boot,), (leave, arrive("b"), confirm), {"apart": True}),
    "resize reverted": ((boot,), (leave, arrive("b"), give_up("b"), revert), {}),
    "resize reverted and stopped": ((boot,), (leave, arrive("b"), give_up("b"), revert_stopped), {}),
    "resize on the same host": ((boot,), (leave, arrive("a"), confirm), {}),
    "resize on the same host reverted": ((boot,), (leave, arrive("a"), give_up("a"), revert), {}),
    "resize on the same host reverted at once": ((boot, leave, arrive("a")), (revert,), {}),
    "resize on the same host reverted at once and stopped": ((boot, leave, arrive("a")), (revert_stopped,), {}),
    "boot of what was to leave": ((boot, leave), (power_on,), {}),
    "resize of a stopped guest": ((boot, power_off), (leave, arrive("b"), confirm), {}),
    "volumes": ((boot,), (attach_volume, swap_volume, extend_volume, detach_volume), {}),
    "interfaces": ((boot,), (attach_interface, detach_interface, unplug_one, plug_all), {}),
    "interfaces that are PCI devices": ((boot,), (attach_direct_interface, detach_direct_interface), {}),
    "interfaces of a stopped guest": ((boot, power_off), (attach_interface, detach_interface), {}),
    "power": ((boot,), (power_off, power_on, pause, unpause, suspend, resume, crash_guest), {}),
    "reboot": ((boot,), (reboot_softly, reboot_hard_with_other_devices), {}),
    "reboot of a stopped guest": ((boot, power_off), (reboot_hard_with_other_devices,), {}),
    "rescue": ((boot,), (rescue, unrescue, set_password), {}),
}
