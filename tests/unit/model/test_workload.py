"""Counters by workload: they never fall, fit the flavor, are one for one seed; and what a migration makes of them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput, MigrationAborted
from nova_fakes.virt import stats
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.migration import DOWNTIME_S, LiveMigration
from nova_fakes.virt.workload import WORKLOADS, Workload

SEEDS = st.integers(0, 2**32 - 1)
TIMES = st.floats(0, 10 * 365 * 86400)
PROFILES = st.sampled_from(sorted(WORKLOADS)).map(WORKLOADS.__getitem__)
MIB = 1 << 20


def guest(workload: str | None = None, number: int = 1, memory_mb: int = 1024) -> GuestSpec:
    return GuestSpec(f"uuid-{number}", f"instance-{number}", 2, memory_mb, 10, workload=workload)


@given(PROFILES, SEEDS, TIMES, st.floats(0, 1e6))
def test_counters_never_fall_and_fit_the_time(workload: Workload, seed: int, begin_s: float, span_s: float) -> None:
    end_s = begin_s + span_s
    first, second = (stats.cpu_time_ns(workload, seed, 0, at) for at in (begin_s, end_s))
    assert 0 <= first <= second <= end_s * 1e9 * (1 + 1e-9)
    assert 0 <= stats.memory_used_mb(workload, seed, 2048, end_s) <= 2048
    for counters in (
        lambda at: stats.disk(workload, seed, "vda", at, True),
        lambda at: stats.nic(workload, seed, "v", at),
    ):
        assert all(after >= before for before, after in zip(counters(begin_s), counters(end_s), strict=True))
    disk, nic = stats.disk(workload, seed, "vda", end_s, True), stats.nic(workload, seed, "v", end_s)
    assert disk.read_bytes == disk.read_requests * workload.request_bytes
    assert nic.tx_bytes == nic.tx_packets * workload.packet_bytes


@given(PROFILES, SEEDS)
def test_one_seed_has_one_history_and_over_time_the_mean_is_the_profiles(workload: Workload, seed: int) -> None:
    long_s = 1000 * workload.period[1]
    assert stats.cpu_time_ns(workload, seed, 1, 99.0) == stats.cpu_time_ns(workload, seed, 1, 99.0)
    mean = stats.cpu_time_ns(workload, seed, 0, long_s) / (long_s * 1e9)
    assert workload.cpu[0] * 0.98 <= mean <= workload.cpu[1] * 1.02 + 2.5 / long_s


def test_bursts_are_followed_by_rest() -> None:
    bursty = Workload("w", cpu=(0.1, 0.1), burst=0.25, period=(100.0, 100.0))
    worked = [bursty.busy_s(float(at), 7, "cpu0") for at in range(401)]
    steps = [after - before for before, after in pairwise(worked)]
    assert max(steps) == pytest.approx(4.0)
    assert sum(step == 0 for step in steps) > 280
    assert worked[-1] == pytest.approx(400.0)


def test_guests_choose_theirs_and_keep_it_over_a_restart(tmp_path) -> None:
    clock = ManualClock()
    tiny = Workload.from_mapping("tiny", {"cpu": [0.5, 0.5], "swing": 0})

    def start() -> Hypervisor:
        return Fleet(clock, journal=Journal(tmp_path / "journal"), workloads=[tiny]).add(Hypervisor("a"))

    host = start()
    for number, name in enumerate(("idle", "batch", "tiny", None)):
        host.spawn(guest(name, number))
    clock.advance(1000)
    used = [sum(host.statistics(f"uuid-{number}").cpus) for number in range(4)]
    assert used[0] < used[3] < used[1]
    assert used[2] == pytest.approx(2 * (500 + 2.5) * 1e9)
    with pytest.raises(InvalidInput, match=r"nonsense.*batch, bursty, idle, tiny, web"):
        host.spawn(guest("nonsense", 9))
    assert len(host.guests) == 4
    assert host.fleet is not None
    host.fleet.close()
    again = start()
    assert [sum(again.statistics(f"uuid-{number}").cpus) for number in range(4)] == used
    assert again.fleet is not None
    again.fleet.close()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"cpus": [0, 1]}, "did you mean cpu"),
        ({"colour": 1}, "use cpu"),
        ({"cpu": 0.5}, "lowest and the highest"),
        ({"cpu": [0.5]}, "lowest and the highest"),
        ({"cpu": [0.5, "much"]}, "lowest and the highest"),
        ({"cpu": [0.5, 0.1]}, "lowest and the highest"),
        ({"cpu": [0.5, 0.9]}, "busiest"),
        ({"burst": [0.5, 0.9]}, "one number"),
        ({"burst": True}, "one number"),
        ({"burst": 0}, "above 0"),
        ({"swing": 2}, "from 0 to 1"),
        ({"memory": [0.5, 1.5]}, "at most 1"),
        ({"packet_bytes": 0}, "1 or more"),
        ({"period": [0, 1]}, "above 0"),
    ],
)
def test_wrong_profiles_are_refused_by_key(values, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        Workload.from_mapping("mine", values)
    with pytest.raises(InvalidInput, match="name"):
        Workload("")


class TestMigration:
    """The passes of pre-copy, in closed form."""

    def migration(self, clock: ManualClock, memory_mb: int = 4096, disk_mb: int = 0, dirty_mb_s: float = 0.0):
        return LiveMigration(clock, "uuid", "a", "b", memory_mb, disk_mb * MIB, 100.0, dirty_mb_s * MIB)

    def test_a_guest_that_writes_nothing_is_carried_once(self) -> None:
        clock = ManualClock()
        migration = self.migration(clock, disk_mb=1000)
        assert migration.duration_s == pytest.approx(50.96)
        clock.advance(5)
        assert (migration.progress().iteration, migration.progress().disk_processed) == (0, 500 * MIB)
        clock.advance(25.48)
        found = migration.progress()
        assert (found.iteration, found.disk_remaining) == (1, 0)
        assert found.memory_processed == pytest.approx(2048 * MIB, abs=10)
        assert found.memory_processed + found.memory_remaining == pytest.approx(4096 * MIB, abs=2)
        clock.advance(30)
        assert migration.wait(0)
        assert migration.progress().percent == 100

    def test_what_it_writes_to_is_carried_again_until_it_fits_into_the_downtime(self) -> None:
        clock = ManualClock()
        migration = self.migration(clock, dirty_mb_s=50.0)
        assert migration.passes == 8
        assert 4096 * 0.5 ** (migration.passes - 1) <= 100 * DOWNTIME_S < 4096 * 0.5 ** (migration.passes - 2)
        seen = []
        while migration.remaining_s() > 0:
            seen.append(migration.progress())
            clock.advance(1.0)
        seen.append(migration.progress())
        assert [one.memory_processed for one in seen] == sorted(one.memory_processed for one in seen)
        assert {1, 2, 3, 4, 5} <= {one.iteration for one in seen}
        assert all(one.memory_remaining <= one.memory_total for one in seen)
        assert seen[-1].memory_processed > 1.9 * 4096 * MIB
        assert seen[-1].memory_remaining == 0

    def test_one_that_writes_faster_than_the_network_carries_never_gets_there(self) -> None:
        clock = ManualClock()
        migration = self.migration(clock, dirty_mb_s=400.0)
        assert (migration.passes, migration.duration_s) == (None, math.inf)
        clock.advance(10_000)
        assert not migration.wait(0)
        found = migration.progress()
        assert found.memory_processed == 1_000_000 * MIB
        assert 0 < found.memory_remaining <= 4096 * MIB

    def test_a_forced_one_carries_what_is_left_while_the_guest_stands_still(self) -> None:
        clock = ManualClock()
        migration = self.migration(clock, dirty_mb_s=400.0)
        clock.advance(10)
        migration.force()
        assert migration.remaining_s() == pytest.approx(30.96)
        assert not migration.wait(0)
        clock.advance(30)
        assert migration.progress().memory_remaining == pytest.approx(96 * MIB)
        clock.advance(1)
        assert migration.wait(0)
        assert migration.progress().memory_remaining == 0
        assert migration.abort() is False

    def test_post_copy_carries_disks_before_the_switch_over_and_memory_after_it(self) -> None:
        clock = ManualClock()
        migration = self.migration(clock, disk_mb=1000, dirty_mb_s=400.0)
        clock.advance(5)
        migration.force(post_copy=True)
        assert (migration.remaining_s(), migration.tail_s()) == (5, pytest.approx(45.96))
        clock.advance(5)
        assert migration.wait(0)
        assert migration.progress().memory_remaining == 4096 * MIB
        assert not migration.wait_tail(0)
        clock.advance(40)
        assert (migration.progress().iteration, migration.progress().memory_processed) == (1, 4000 * MIB)
        clock.advance(1)
        assert migration.wait_tail(0)
        assert migration.progress().percent == 100

    def test_auto_converge_slows_the_guest_down_until_it_gets_there(self) -> None:
        def passes(dirty_mb_s: float) -> int | None:
            found = LiveMigration(ManualClock(), "uuid", "a", "b", 4096, 0, 100.0, dirty_mb_s * MIB, auto_converge=True)
            assert math.isfinite(found.duration_s) is (found.passes is not None)
            return found.passes

        assert self.migration(ManualClock(), dirty_mb_s=150.0).passes is None
        assert passes(40.0) == self.migration(ManualClock(), dirty_mb_s=40.0).passes
        # Three times 1.0, then 1.0, 1.0, 0.9, 0.75, 0.6 and from there 0.45 of the pass before.
        assert passes(150.0) == 13
        assert (passes(400.0) or 0) > 13
        # At a hundredth of its speed it still writes faster than the network carries.
        assert passes(20_000.0) is None

    def test_it_can_be_aborted_meanwhile(self) -> None:
        migration = self.migration(ManualClock(), dirty_mb_s=400.0)
        assert migration.abort() is True
        with pytest.raises(MigrationAborted):
            migration.wait(0)

    def test_a_paused_guest_writes_nothing(self) -> None:
        clock = ManualClock()
        fleet = Fleet(clock, migration_bandwidth_mb_s=10.0)
        host = fleet.add(Hypervisor("a"))
        fleet.add(Hypervisor("b"))
        host.spawn(guest("batch", memory_mb=8192))
        assert fleet.migrations.begin(host, "uuid-1", "b").duration_s == math.inf
        host.migrations.clear()
        host.change("uuid-1", "pause")
        assert fleet.migrations.begin(host, "uuid-1", "b").duration_s == pytest.approx(819.2)
