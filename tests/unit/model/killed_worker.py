"""Makes random operations on a fleet with a journal in a file, and tells of each that is done, until it is killed."""

import os
import random
import signal
import sys
from dataclasses import replace
from uuid import UUID

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import NovaFakesError
from nova_fakes.virt import resize
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.nic import read_nics

HOSTS = ("a", "b")
GUESTS = 6


def make_fleet(journal, clock=None):
    fleet = Fleet(clock or ManualClock(), journal=journal, seed=3, shared_storage=False)
    for name in HOSTS:
        fleet.add(Hypervisor(name))
    return fleet


class Story:
    """The same operations for the same seed.

    :param fleet: whose hosts they are made on
    """

    def __init__(self, fleet, seed):
        self.fleet = fleet
        self.random = random.Random(seed)
        self.made = 0
        self.acts = sorted(name for name in dir(self) if name.startswith("do_"))

    def step(self):
        """Make one operation at most that changes something which is kept."""
        self.fleet.clock.advance(self.random.random() * 10)
        self.host = self.fleet.hypervisor(self.random.choice(HOSTS))
        self.other = self.fleet.hypervisor(HOSTS[1 - HOSTS.index(self.host.name)])
        self.uuid = self.random.choice(sorted(self.host.guests) or [str(UUID(int=0))])
        act = getattr(self, self.random.choice(self.acts))
        try:
            act()
        except NovaFakesError:
            pass

    def spec(self):
        guest = self.host.guests.get(self.uuid)
        if guest is not None:
            return guest.spec
        self.made += 1
        return GuestSpec(
            str(UUID(int=self.made)), f"guest-{self.made}", self.random.randint(1, 4), 64, 1, image="image"
        )

    def nics(self):
        numbers = self.random.sample(range(9), self.random.randint(0, 2))
        return read_nics({"id": f"vif-{number}", "address": f"fa:16:3e:00:00:0{number}"} for number in numbers)

    def volumes(self):
        numbers = self.random.sample(range(3), self.random.randint(0, 2))
        return [Volume(f"/dev/vd{'bcd'[number]}", {"serial": f"volume-{number}"}) for number in numbers]

    def moving(self):
        return any(
            self.uuid in host.retained or (self.uuid in host.guests and host.guests[self.uuid].outgoing)
            for host in self.fleet.hosts.values()
        )

    def do_spawn(self):
        self.uuid = ""
        if len(self.host.guests) < GUESTS:
            self.host.spawn(self.spec(), self.nics(), self.volumes(), power_on=self.random.random() < 0.8)

    def do_destroy(self):
        self.host.destroy(self.uuid, keep_disks=self.random.random() < 0.5)

    def do_drop_disks(self):
        self.host.drop_disks(self.random.choice(sorted(self.host.left_disks) or [self.uuid]))

    def do_change(self):
        self.host.change(self.uuid, self.random.choice(["pause", "unpause", "suspend", "power_off", "crash"]))

    def do_boot(self):
        if self.moving():
            return
        operation = self.random.choice(["power_on", "hard_reboot", "resume"])
        self.host.boot(self.uuid, operation, self.nics(), self.volumes())

    def do_rescue(self):
        self.host.rescue(self.uuid, "rescue", "password")

    def do_unrescue(self):
        self.host.unrescue(self.uuid)

    def do_quiesce(self):
        self.host.quiesce(self.uuid, self.random.random() < 0.5)

    def do_password(self):
        self.host.set_password(self.uuid, "secret")

    def do_inject_file(self):
        self.host.inject_file(self.uuid, "/etc/motd", "hello")

    def do_interface(self):
        if nics := self.nics():
            self.host.attach_nic(self.uuid, next(iter(nics.values())))

    def do_detach_interface(self):
        self.host.detach_nic(self.uuid, f"vif-{self.random.randint(0, 8)}")

    def do_plug(self):
        self.host.plug(self.uuid, self.nics())

    def do_unplug(self):
        self.host.unplug(self.uuid)

    def do_volume(self):
        if volumes := self.volumes():
            self.host.attach_volume(self.uuid, volumes[0])

    def do_swap_volume(self):
        self.host.swap_volume(self.uuid, Volume("/dev/vdb", {"serial": "another"}))

    def do_extend_volume(self):
        self.host.extend_volume(self.uuid, "volume-1", 1 << 30)

    def do_detach_volume(self):
        self.host.detach_volume(self.uuid, "/dev/vdc")

    def do_share(self):
        (self.host.mount_share if self.random.random() < 0.6 else self.host.umount_share)(self.uuid, "share")

    def do_images(self):
        if not self.host.cache_image("other"):
            self.host.drop_images(["other", "image"])

    def do_settings(self):
        if self.random.random() < 0.5:
            self.host.set_maintenance(not self.host.maintenance)
        else:
            self.host.set_enabled(not self.host.enabled)

    def do_power(self):
        if self.host.down:
            self.host.recover()
        elif self.random.random() < 0.2:
            self.host.crash()

    def do_leave(self):
        if not self.moving():
            resize.leave(self.host, self.uuid)

    def do_arrive(self):
        settled = any(
            self.uuid in host.guests and not host.guests[self.uuid].outgoing for host in self.fleet.hosts.values()
        )
        if self.uuid in self.host.guests and not settled:
            spec = replace(self.spec(), vcpus=self.random.randint(1, 8))
            there = self.random.choice([self.host, self.other])
            resize.arrive(there, spec, self.nics(), self.volumes(), power_on=True)

    def do_confirm(self):
        self.uuid = self.random.choice(sorted({*self.host.guests, *self.host.retained}) or [self.uuid])
        if self.uuid in self.host.retained or self.uuid in self.other.guests:
            resize.confirm(self.host, self.uuid)

    def do_revert(self):
        self.uuid = self.random.choice(sorted({*self.host.guests, *self.host.retained}) or [self.uuid])
        guest = self.host.retained.get(self.uuid) or self.host.guests.get(self.uuid)
        if guest is not None and self.moving() and self.uuid not in self.other.guests:
            power_on = self.random.random() < 0.5
            resize.revert(self.host, guest.spec, self.nics(), self.volumes(), power_on=power_on)

    def do_set_out(self):
        if self.uuid in self.host.guests and not self.moving():
            self.fleet.migrations.prepare(self.other, self.spec(), self.nics(), self.volumes())
            self.fleet.migrations.begin(self.host, self.uuid, self.other.name)

    def do_switch_over(self):
        for uuid, migration in list(self.host.migrations.items()):
            try:
                if uuid in self.host.guests:
                    self.fleet.migrations.switch_over(self.host, migration)
            finally:
                self.fleet.migrations.abort_arrival(self.other, uuid)
                self.fleet.migrations.end(self.host, migration)
            return

    def do_depart(self):
        if self.uuid in self.host.guests and not self.moving():
            migration = self.fleet.migrations.begin(self.host, self.uuid, "elsewhere")
            self.fleet.migrations.switch_over(self.host, migration)
            self.fleet.migrations.end(self.host, migration)

    def do_finish_arrival(self):
        self.uuid = ""
        if len(self.host.guests) < GUESTS:
            self.fleet.migrations.finish_arrival(self.host, self.spec(), paused=self.random.random() < 0.5)


class MortalJournal(Journal):
    """Kills its process between two transactions.

    :param last: how many events are written before that
    """

    def __init__(self, path, keep, last):
        super().__init__(path, keep)
        self.last = last

    def note(self, event, writes=()):
        super().note(event, writes)
        self.last -= 1
        if self.last == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(path, seed, last):
    story = Story(make_fleet(MortalJournal(path, 1_000_000, int(last))), int(seed))
    while True:
        story.step()
        os.write(1, b".")


if __name__ == "__main__":
    main(*sys.argv[1:])
