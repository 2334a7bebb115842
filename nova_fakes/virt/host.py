"""What a host has apart from its guests' lives: settings, counters, cached images, shares, disks that were left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from nova_fakes.virt import stats
from nova_fakes.virt.event import NOTHING
from nova_fakes.virt.guest import Claim
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.outages import FailingHost
from nova_fakes.virt.records import failure_recorded, failures_recorded

__all__ = ["Host"]


class Host(FailingHost):
    """The part of a hypervisor that does not touch its guests' lives."""

    def set_maintenance(self, mode: bool) -> None:
        """Begin or end maintenance, during which nova's driver refuses new guests."""
        self._switch("host_maintenance_mode", "maintenance", mode)

    def set_enabled(self, enabled: bool) -> None:
        """Let nova's driver take new guests, or not."""
        self._switch("set_host_enabled", "enabled", enabled)

    def _switch(self, operation: str, name: str, value: bool) -> None:
        with failure_recorded(self, None, operation):
            self.check(operation)
            with self.whole(name):
                setattr(self, name, value)
                event = self.note(self.clock.now(), None, operation, {name: value}, self.rows())
        self.journal.tell(event)

    def cache_image(self, image: str) -> bool:
        """Put an image into the cache; tell whether it was not there yet."""
        with failure_recorded(self, None, "cache_image"):
            self.check("cache_image")
            now_s = self.clock.now()
            with self.lock:
                if image in self.cached_images:
                    return False
                row = self.journal.image_row(self.name, image, now_s)
                event = self.note(now_s, None, "cache_image", {"image": image}, [row])
                self.cached_images[image] = now_s
        self.journal.tell(event)
        return True

    def drop_images(self, images: Collection[str]) -> None:
        """Delete images from the cache; what is not there is no error."""
        with failure_recorded(self, None, "manage_image_cache"):
            self.check("manage_image_cache")
            with self.lock:
                gone = [image for image in dict.fromkeys(images) if image in self.cached_images]
                if not gone:
                    return
                rows = [self.journal.image_row(self.name, image, None) for image in gone]
                event = self.note(self.clock.now(), None, "manage_image_cache", {"images": gone}, rows)
                for image in gone:
                    del self.cached_images[image]
        self.journal.tell(event)

    def uptime_s(self) -> float:
        """Return the seconds since the host booted."""
        self.check("uptime")
        return self.clock.now() - self.booted_at_s

    def cpu_stats(self) -> dict[str, int]:
        """Return the host's processor times since it booted, ns, and its frequency, MHz."""
        self.check("cpu_stats")
        now_s = self.clock.now()
        guests_ns = int(0.12 * 1_000_000_000 * self.capacity.vcpu_s(now_s))
        return stats.host_cpu(self.seed, self.inventory.vcpus, now_s - self.booted_at_s, guests_ns)

    @failures_recorded("drop_disks")
    def drop_disks(self, uuid: str) -> bool:
        """Delete the disks that a destroyed guest left; tell whether there were any."""
        self.check("drop_disks")
        with self.lock:
            if uuid not in self.left_disks:
                return False
            now_s = self.clock.now()
            event = self.note(now_s, uuid, "drop_disks", NOTHING, [self.row(uuid, "disks", None)])
            self._release_disks(uuid, now_s)
        self.journal.tell(event)
        return True

    @failures_recorded("mount_share")
    def mount_share(self, uuid: str, share_id: str) -> None:
        """Mount a share, unless it is mounted, and remember that the guest uses it."""
        self.check("mount_share", self.guests.get(uuid))
        self._change_users(uuid, "mount_share", share_id, {uuid}.union)

    @failures_recorded("umount_share")
    def umount_share(self, uuid: str, share_id: str) -> bool:
        """Forget that the guest uses a share; without users it is unmounted. Tell whether it has users still."""
        self.check("umount_share", self.guests.get(uuid))
        return bool(self._change_users(uuid, "umount_share", share_id, lambda users: users - {uuid}))

    def _change_users(
        self, uuid: str, operation: str, share_id: str, change: Callable[[set[str]], set[str]]
    ) -> set[str]:
        with self.whole("shares"):
            users = change(self.shares.get(share_id, set()))
            if users:
                self.shares[share_id] = users
            else:
                self.shares.pop(share_id, None)
            event = self.note(self.clock.now(), uuid, operation, {"share_id": share_id}, self.rows())
        self.journal.tell(event)
        return users

    def report_vifs(self, operation: str, uuid: str, nics: Iterable[Nic], **details: Any) -> None:
        """Tell the observers, the layer-2 agent among them, of interfaces: ``vif_plugged`` or ``vif_unplugged``."""
        now_s = self.clock.now()
        for nic in nics:
            self.journal.record(now_s, self.name, uuid, operation, details={"vif_id": nic.id, **details})

    def _leave_disks(self, uuid: str, left: Claim, now_s: float) -> None:
        """Count what the disks of a guest that is gone take up, whatever the limits are: they are there."""
        self._release_disks(uuid, now_s)
        self.left_disks[uuid] = left
        self.capacity.restore(left)

    def _release_disks(self, uuid: str, now_s: float) -> None:
        """Count the disks that a destroyed guest left no longer; the caller holds the lock."""
        left = self.left_disks.pop(uuid, None)
        if left is not None:
            self.capacity.release(left, now_s)
