"""Every change is an event, a failed attempt too; what was recorded is found again."""

import sqlite3
import threading
from contextlib import closing
from uuid import UUID

import fleet_state
import pytest
from test_replay import G, again, nics, volume

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InjectedFault, InvalidInput, JournalError
from nova_fakes.faults import FaultRule
from nova_fakes.virt import resize
from nova_fakes.virt.event import Event, read_events
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.operations import OPERATIONS

H = str(UUID(int=2))
SPEC = GuestSpec(G, "g", 1, 64, 1)
OTHER = GuestSpec(H, "h", 1, 64, 1)

#: Operations that change nothing.
SIGHTS = {
    "check_can_live_migrate_destination",
    "check_can_live_migrate_source",
    "check_instance_shared_storage",
    "console_log",
    "cpu_stats",
    "disk_info",
    "find",
    "get_available_resource",
    "get_info",
    "is_share_mounted",
    "list",
    "statistics",
    "update_provider_tree",
    "uptime",
}


@pytest.fixture
def fleet():
    fleet = Fleet(ManualClock())
    for name in "ab":
        fleet.add(Hypervisor(name))
    fleet.hypervisor("a").spawn(SPEC, nics(1), [volume(1)])
    return fleet


def change(operation, *before):
    def act(fleet, host):
        for one in before:
            host.change(G, one)
        return lambda: host.change(G, operation)

    return act


def of_guest(method, *arguments, before=lambda host: None):
    def act(fleet, host):
        before(host)
        return lambda: getattr(host, method)(G, *arguments)

    return act


def boot(operation, *before):
    def act(fleet, host):
        for one in before:
            host.change(G, one)
        return lambda: host.boot(G, operation, nics(2), [volume(2)])

    return act


def spawn(operation):
    return lambda fleet, host: lambda: host.spawn(OTHER, nics(2), [volume(2)], operation=operation)


def left(host):
    host.spawn(OTHER)
    host.destroy(H, keep_disks=True)


def prepared(fleet, host):
    fleet.migrations.prepare(fleet.hypervisor("b"), SPEC, nics(1))
    return fleet.migrations.begin(host, G, "b")


def switch_over(fleet, host):
    migration = prepared(fleet, host)
    return lambda: fleet.migrations.switch_over(host, migration)


def drop_disks(fleet, host):
    left(host)
    return lambda: host.drop_disks(H)


def confirm(fleet, host):
    resize.leave(host, G)
    return lambda: resize.confirm(host, G)


def revert(fleet, host):
    resize.leave(host, G)
    return lambda: resize.revert(host, SPEC, nics(1), (), power_on=True)


def arrive(fleet, host):
    resize.leave(host, G)
    return lambda: resize.arrive(host, GuestSpec(G, "g", 2, 64, 1), None, (), power_on=False)


#: What makes ready for an operation, and returns what makes it.
CHANGES = {
    "attach_interface": of_guest("attach_nic", nics(3)["vif-3"]),
    "attach_volume": of_guest("attach_volume", volume(2)),
    "cache_image": lambda fleet, host: lambda: host.cache_image("image"),
    "confirm_migration": confirm,
    "console": of_guest("console", "vnc"),
    "crash": change("crash"),
    "destroy": of_guest("destroy"),
    "detach_interface": of_guest("detach_nic", "vif-1"),
    "detach_volume": of_guest("detach_volume", "vdc"),
    "drop_disks": drop_disks,
    "extend_volume": of_guest("extend_volume", "volume-1", 1 << 30),
    "finish_migration": arrive,
    "finish_revert_migration": revert,
    "hard_reboot": boot("hard_reboot"),
    "host_maintenance_mode": lambda fleet, host: lambda: host.set_maintenance(True),
    "inject_file": of_guest("inject_file", "/etc/motd", "hello"),
    "live_migration": lambda fleet, host: lambda: fleet.migrations.finish_arrival(host, OTHER, paused=True),
    "manage_image_cache": lambda fleet, host: host.cache_image("image") and (lambda: host.drop_images(["image"])),
    "migrate_disk": lambda fleet, host: lambda: resize.leave(host, G),
    "mount_share": of_guest("mount_share", "share"),
    "pause": change("pause"),
    "plug": of_guest("plug", nics(4)),
    "power_off": change("power_off"),
    "power_on": boot("power_on", "power_off"),
    "pre_live_migration": lambda fleet, host: lambda: fleet.migrations.prepare(host, OTHER, nics(2), [volume(2)]),
    "quiesce": of_guest("quiesce", True),
    "rescue": of_guest("rescue", "image", "password"),
    "resume": boot("resume", "suspend"),
    "set_host_enabled": lambda fleet, host: lambda: host.set_enabled(False),
    "set_password": of_guest("set_password", "password"),
    "snapshot": of_guest("snapshot"),
    "soft_reboot": change("soft_reboot"),
    "spawn": spawn("spawn"),
    "suspend": change("suspend"),
    "swap_volume": of_guest("swap_volume", volume(5)),
    "switch_over": switch_over,
    "umount_share": of_guest("umount_share", "share", before=lambda host: host.mount_share(G, "share")),
    "unpause": change("unpause", "pause"),
    "unplug": of_guest("unplug"),
    "unquiesce": of_guest("quiesce", False, before=lambda host: host.quiesce(G, True)),
    "unrescue": of_guest("unrescue", before=lambda host: host.rescue(G, "image")),
    "unshelve": spawn("unshelve"),
}
#: What the journal calls an operation, where fault rules have another name for it.
CALLED = {"switch_over": "live_migration"}


def test_every_operation_changes_something_or_nothing():
    assert {name for name in OPERATIONS if "." not in name} == CHANGES.keys() | SIGHTS
    assert not CHANGES.keys() & SIGHTS


@pytest.mark.parametrize("operation", sorted(CHANGES))
def test_a_change_is_an_event_and_can_be_made_again(fleet, operation):
    host = fleet.hypervisor("a")
    act = CHANGES[operation](fleet, host)
    before = len(fleet.journal.events())
    fleet.clock.advance(7)
    act()
    (event,) = [
        event for event in fleet.journal.events()[before:] if event.operation not in ("vif_plugged", "vif_unplugged")
    ]
    assert (event.operation, event.outcome) == (CALLED.get(operation, operation), "ok")
    assert (event.time, event.host) == (fleet.clock.now(), "a")
    assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)


@pytest.mark.parametrize("operation", sorted([*CHANGES, "spawn.plug", "spawn.start", "finish_migration.start"]))
def test_a_failed_attempt_is_an_event_and_changes_nothing(fleet, operation):
    host = fleet.hypervisor("a")
    whole = operation.partition(".")[0]
    act = CHANGES[whole](fleet, host)
    state, before = fleet_state.whole(fleet), len(fleet.journal.events())
    fleet.faults.add(FaultRule(operation, error="no luck"))
    with pytest.raises(InjectedFault):
        act()
    (event,) = [event for event in fleet.journal.events()[before:] if not event.operation.startswith("vif_")]
    assert (event.operation, event.outcome) == (CALLED.get(whole, whole), "InjectedFault")
    assert event.details == {"message": "no luck"}
    assert fleet_state.whole(fleet) == state


def test_what_no_rule_can_fail_is_told_too(fleet):
    host = fleet.hypervisor("a")
    migration = prepared(fleet, host)
    fleet.migrations.force(host, G)
    fleet.migrations.end(host, migration)
    fleet.migrations.abort_arrival(fleet.hypervisor("b"), G)
    fleet.migrations.begin(host, G, "b")
    assert fleet.migrations.abort(host, G)
    host.crash()
    host.recover()
    told = [event.operation for event in fleet.journal.events() if event.operation != "vif_plugged"]
    assert told == [
        *("host_add", "host_add", "spawn", "pre_live_migration", "live_migration_start"),
        *(
            "live_migration_force",
            "unpause",
            "live_migration_end",
            "vif_unplugged",
            "live_migration_rollback",
            "live_migration_start",
        ),
        *("live_migration_abort", "host_crash", "host_recover"),
    ]
    assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)


@pytest.fixture(params=["memory", "file"])
def journal(request, tmp_path):
    journal = Journal(None if request.param == "memory" else tmp_path / "journal", keep=300)
    yield journal
    journal.close()


class TestJournal:
    def test_events_are_numbered_for_those_who_ask_again(self, journal):
        assert journal.events_after(0) == (0, [])
        for number in range(3):
            journal.record(float(number), "a", None, "tick")
        latest, events = journal.events_after(0)
        assert (latest, [event.time for event in events]) == (3, [0, 1, 2])
        assert journal.events_after(3) == (3, [])
        journal.record(3.0, "a", None, "tick")
        journal.record(4.0, "b", None, "tick")
        assert [event.time for event in journal.events_after(2)[1]] == [2, 3, 4]
        assert journal.events_after(3, host="b") == (5, [Event(4.0, "b", None, "tick", details={})])

    def test_no_more_are_kept_than_asked_for(self, journal):
        for number in range(1000):
            journal.record(float(number), "a", None, "tick")
            if number == 10:
                assert journal.events_after(0)[0] == 11
        assert [event.time for event in journal.events()] == list(range(700, 1000))
        latest, events = journal.events_after(0)
        assert len(events) == 300
        assert journal.events_after(latest) == (latest, [])

    def test_events_are_chosen(self, journal):
        journal.record(1.0, "a", G, "spawn")
        journal.record(2.0, "b", H, "spawn")
        journal.record(3.0, "a", G, "pause")
        assert len(journal.events()) == 3
        for chosen, times in (
            ({"host": "a"}, [1, 3]),
            ({"guest": H}, [2]),
            ({"operation": "spawn", "guest": G}, [1]),
            ({"since_s": 2.0}, [2, 3]),
        ):
            assert [event.time for event in journal.events(**chosen)] == times

    def test_an_observer_that_fails_hurts_nobody(self, journal, caplog):
        seen = []
        journal.subscribe(lambda event: 1 / 0)
        journal.subscribe(seen.append)
        journal.record(1.0, "a", G, "spawn")
        assert [event.operation for event in seen] == ["spawn"]
        assert "an observer failed on spawn" in caplog.text

    def test_several_threads_lose_nothing(self, journal):
        def run():
            for _ in range(50):
                journal.record(1.0, "a", None, "tick")

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        seen, number = 0, 0
        while any(thread.is_alive() for thread in threads):
            number, events = journal.events_after(number)
            seen += len(events)
        for thread in threads:
            thread.join()
        assert seen + len(journal.events_after(number)[1]) == 200


def test_nothing_is_kept_is_refused():
    with pytest.raises(InvalidInput, match="keep"):
        Journal(keep=0)


def test_events_before_a_restart_are_shown_after_it(tmp_path):
    def fleet():
        return Fleet(ManualClock(), journal=Journal(tmp_path / "journal"))

    before = fleet()
    before.add(Hypervisor("a")).spawn(SPEC, nics(1), [volume(1)])
    story = before.journal.events()
    before.close()
    after = fleet()
    after.add(Hypervisor("a")).destroy(G)
    events = after.journal.events()
    assert [event.to_json() for event in events[: len(story)]] == [event.to_json() for event in story]
    assert events[-1].operation == "destroy"
    spawned = next(event for event in events if event.operation == "spawn")
    assert spawned.details["spec"] == SPEC
    after.close()


def test_several_fleets_share_a_file(tmp_path):
    fleets = [Fleet(ManualClock(), journal=Journal(tmp_path / "journal")) for _ in "ab"]
    hosts = [fleet.add(Hypervisor(name)) for fleet, name in zip(fleets, "ab", strict=True)]

    def run(host, first):
        for number in range(first, first + 100):
            host.spawn(GuestSpec(str(UUID(int=number)), f"g-{number}", 1, 64, 1))

    threads = [threading.Thread(target=run, args=(host, 1000 * index)) for index, host in enumerate(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fleet, host in zip(fleets, hosts, strict=True):
        assert len(fleet.journal.events(operation="spawn")) == 200
        assert len(fleet.journal.guests(host.name)) == 100
        fleet.close()


def test_a_host_that_was_down_has_booted_when_its_process_starts(tmp_path):
    clock = ManualClock()
    fleet = Fleet(clock, journal=Journal(tmp_path / "journal"))
    host = fleet.add(Hypervisor("a"))
    host.spawn(SPEC)
    host.crash()
    fleet.close()
    clock.advance(60)
    host = Fleet(clock, journal=Journal(tmp_path / "journal")).add(Hypervisor("a"))
    assert not host.down
    clock.advance(5)
    assert host.uptime_s() == 5
    assert [str(guest.state) for guest in host.guests.values()] == ["shutdown"]
    host.journal.close()


def test_what_cannot_be_written_has_not_happened(tmp_path, caplog):
    journal = Journal(tmp_path / "journal")
    host = Fleet(ManualClock(), journal=journal).add(Hypervisor("a"))
    host.spawn(SPEC)
    with closing(sqlite3.connect(tmp_path / "journal")) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    with pytest.raises(JournalError, match="disk full"):
        host.spawn(OTHER)
    assert (list(host.guests), host.capacity.used.vcpus) == ([G], 1)
    with pytest.raises(JournalError, match="disk full"):
        host.change(G, "pause")
    assert str(host.guests[G].state) == "running"
    assert "the failure of pause" in caplog.text
    assert list(journal.guests("a")) == [G]
    journal.close()


def test_a_spec_that_was_used_stays_as_it_was(fleet):
    host = fleet.hypervisor("a")
    host.set_password(G, "secret")
    host.rescue(G, "image", "more secret")
    host.unrescue(G)
    host.inject_file(G, "/etc/motd", "hello")
    assert GuestSpec(G, "g", 1, 64, 1) == SPEC
    assert (host.guests[G].spec.admin_password, host.guests[G].spec.files) == ("more secret", (("/etc/motd", "hello"),))


class TestJson:
    def test_lines_are_read_back(self, fleet):
        events = fleet.journal.events()
        read = list(read_events(["\n", *(event.to_json() + "\n" for event in events)]))
        assert [event.to_record() for event in read] == [event.to_record() for event in events]

    @pytest.mark.parametrize(
        ("line", "told"),
        [("{", "line 2"), ("[]", "to_record"), ("{}", "time"), ('{"time": 1}', "host")],
    )
    def test_what_is_no_event_is_refused(self, line, told):
        with pytest.raises(InvalidInput, match=told):
            list(read_events(["\n", line]))

    def test_what_json_does_not_know_is_told_as_text(self):
        event = Event(1.0, "a", None, "group", details={"group": UUID(int=3), "names": ("x",)})
        (read,) = read_events([event.to_json()])
        assert read.details == {"group": str(UUID(int=3)), "names": ["x"]}
