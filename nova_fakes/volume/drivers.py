"""The volume drivers of 2011 that did nothing, with effects: their commands run over a store of volumes.

``FakeAOEDriver``, ``FakeISCSIDriver`` and ``LoggingVolumeDriver`` were in ``nova/volume/driver.py`` until Cinder took
volumes over. Their methods and arguments are the same: a volume is a mapping with ``id``, ``name``, ``size`` (GiB) and,
in a snapshot, ``volume_name`` and ``volume_size``. Each object has a log of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.exceptions import NotFound
from nova_fakes.volume.commands import CommandFailed, Commands
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore

__all__ = ["FakeAOEDriver", "FakeISCSIDriver", "LoggingVolumeDriver"]

Record = Mapping[str, Any]


class _LvmDriver:
    """Volumes as logical volumes, made by commands.

    :param store: where they are; None: one of its own, whose only pool is the volume group
    :param volume_group: name of the pool
    """

    def __init__(self, store: VolumeStore | None = None, volume_group: str = "nova-volumes") -> None:
        self.store = store or VolumeStore([Pool(name=volume_group)])
        self.volume_group = volume_group
        self.commands = Commands(self.store)

    @property
    def log(self) -> list[str]:
        """Every command that was run, whole, in order."""
        return self.commands.log

    def fake_execute(self, *command: object, **options: object) -> tuple[str, str]:
        """Run a command; return its output and what it complained of.

        :raises CommandFailed: it failed
        """
        return self.commands.run(*command)

    def check_for_setup_error(self) -> None:
        """Require the volume group.

        :raises NotFound: there is none
        """
        groups, _complaints = self._run("sudo", "vgs", "--noheadings", "-o", "name")
        if self.volume_group not in groups.split():
            raise NotFound(f"volume group {self.volume_group} doesn't exist")

    def create_volume(self, volume: Record) -> None:
        """Make a logical volume."""
        self._run("sudo", "lvcreate", "-L", f"{volume['size']}G", "-n", volume["name"], self.volume_group)

    def create_volume_from_snapshot(self, volume: Record, snapshot: Record) -> None:
        """Make a logical volume with a snapshot's bytes."""
        self.create_volume(volume)
        count = int(snapshot["volume_size"]) * 1024
        source, target = self.local_path(snapshot), self.local_path(volume)
        self._run("sudo", "dd", f"if={source}", f"of={target}", f"count={count}", "bs=1M")

    def delete_volume(self, volume: Record) -> None:
        """Wipe a logical volume and remove it; one that is not there is no error."""
        try:
            attributes, _complaints = self._run(
                "sudo", "lvdisplay", "--noheading", "-C", "-o", "Attr", f"{self.volume_group}/{volume['name']}"
            )
        except CommandFailed:
            return
        if attributes.strip()[0] in "oO":
            raise CommandFailed(self.log[-1], 5, f"volume {volume['name']} has snapshots")
        count = int(volume["size"]) * 1024
        self._run("sudo", "dd", "if=/dev/zero", f"of={self.local_path(volume)}", f"count={count}", "bs=1M")
        self._run("sudo", "lvremove", "-f", f"{self.volume_group}/{volume['name']}")

    def create_snapshot(self, snapshot: Record) -> None:
        """Take a snapshot of a logical volume."""
        origin, size = f"{self.volume_group}/{snapshot['volume_name']}", f"{snapshot['volume_size']}G"
        self._run("sudo", "lvcreate", "-L", size, "--name", snapshot["name"], "--snapshot", origin)

    def delete_snapshot(self, snapshot: Record) -> None:
        """Remove a snapshot; one that is not there is no error."""
        try:
            self._run("sudo", "lvremove", "-f", f"{self.volume_group}/{snapshot['name']}")
        except CommandFailed as error:
            if "Failed to find" not in error.stderr:
                raise

    def local_path(self, volume: Record) -> str:
        """Return a logical volume's device."""
        group, name = self.volume_group.replace("-", "--"), str(volume["name"]).replace("-", "--")
        return f"/dev/mapper/{group}-{name}"

    def _run(self, *command: object) -> tuple[str, str]:
        return self.fake_execute(*command)


class FakeAOEDriver(_LvmDriver):
    """Exports over ATA over Ethernet."""

    def __init__(self, store: VolumeStore | None = None, volume_group: str = "nova-volumes") -> None:
        super().__init__(store, volume_group)
        self._places: dict[Any, tuple[int, int]] = {}

    def ensure_export(self, context: Any, volume: Record) -> None:
        """Do nothing: vblade-persist starts exports again by itself."""

    def create_export(self, context: Any, volume: Record) -> None:
        """Export a volume under the first shelf and blade that are free."""
        taken = set(self._places.values())
        place = next((shelf, blade) for shelf in range(100) for blade in range(16) if (shelf, blade) not in taken)
        device = f"/dev/{self.volume_group}/{volume['name']}"
        self._run("sudo", "vblade-persist", "setup", *place, "eth0", device)
        self._places[volume["id"]] = place
        self._run("sudo", "vblade-persist", "auto", "all")
        self._run("sudo", "vblade-persist", "start", "all")

    def remove_export(self, context: Any, volume: Record) -> None:
        """Export a volume no more."""
        place = self._place(volume["id"])
        self._run("sudo", "vblade-persist", "stop", *place)
        self._run("sudo", "vblade-persist", "destroy", *place)
        del self._places[volume["id"]]

    def discover_volume(self, context: Any, volume: Record) -> str:
        """Return an export's device.

        :raises NotFound: nobody exports it
        """
        shelf, blade = self._place(volume["id"])
        self._run("sudo", "aoe-discover")
        found, _complaints = self._run("sudo", "aoe-stat")
        if f"e{shelf}.{blade}" not in found.split():
            raise NotFound(f"volume {volume['id']} is not exported as e{shelf}.{blade}")
        return f"/dev/etherd/e{shelf}.{blade}"

    def undiscover_volume(self, volume: Record) -> None:
        """Do nothing: AoE has no sessions."""

    def check_for_export(self, context: Any, volume_id: Any) -> None:
        """Require that a volume is exported.

        :raises NotFound: it is not
        """
        place = self._place(volume_id)
        listed, _complaints = self._run("sudo", "vblade-persist", "ls", "--no-header")
        rows = [line.split(" ") for line in listed.splitlines()]
        if not any(row[:2] == [str(part) for part in place] and row[-1] == "run" for row in rows):
            raise NotFound(f"volume {volume_id} is not exported")

    def _place(self, volume_id: Any) -> tuple[int, int]:
        if volume_id not in self._places:
            raise NotFound(f"volume {volume_id} is not exported")
        return self._places[volume_id]


class FakeISCSIDriver(_LvmDriver):
    """Exports over iSCSI."""

    prefix = "iqn.2010-10.org.openstack:"

    def __init__(self, store: VolumeStore | None = None, volume_group: str = "nova-volumes") -> None:
        super().__init__(store, volume_group)
        self._numbers: dict[Any, int] = {}

    def ensure_export(self, context: Any, volume: Record) -> None:
        """Export a volume again after a restart, where it is not."""
        if volume["id"] not in self._numbers:
            self.create_export(context, volume)

    def create_export(self, context: Any, volume: Record) -> None:
        """Make a target with a volume as its only unit."""
        number = next(one for one in range(1, 10_000) if one not in self._numbers.values())
        target, path = f"{self.prefix}{volume['name']}", f"/dev/{self.volume_group}/{volume['name']}"
        self._run("sudo", "ietadm", "--op", "new", f"--tid={number}", "--params", f"Name={target}")
        self._numbers[volume["id"]] = number
        self._run("sudo", "ietadm", "--op", "new", f"--tid={number}", "--lun=0", "--params", f"Path={path},Type=fileio")

    def remove_export(self, context: Any, volume: Record) -> None:
        """Take a target away; one that is not there is no error."""
        number = self._numbers.get(volume["id"])
        if number is None:
            return
        self._run("sudo", "ietadm", "--op", "delete", f"--tid={number}", "--lun=0")
        self._run("sudo", "ietadm", "--op", "delete", f"--tid={number}")
        del self._numbers[volume["id"]]

    def discover_volume(self, context: Any, volume: Record) -> str:
        """Log in to a volume's target; return the device.

        :raises NotFound: nobody offers it
        """
        portal, target = self._offer(volume)
        self._run("sudo", "iscsiadm", "-m", "node", "-T", target, "-p", portal, "--login")
        self._run(
            "sudo", "iscsiadm", "-m", "node", "-T", target, "-p", portal, "--op", "update", "-n", "node.startup", "-v",
            "automatic",
        )  # fmt: skip
        return f"/dev/disk/by-path/ip-{portal}-iscsi-{target}-lun-0"

    def undiscover_volume(self, volume: Record) -> None:
        """Log out of a volume's target."""
        portal, target = self._offer(volume)
        self._run("sudo", "iscsiadm", "-m", "node", "-T", target, "-p", portal, "--logout")
        self._run("sudo", "iscsiadm", "-m", "node", "--op", "delete", "-T", target, "-p", portal)

    def check_for_export(self, context: Any, volume_id: Any) -> None:
        """Require that a volume is exported.

        :raises NotFound: it is not
        """
        number = self._numbers.get(volume_id)
        if number is None:
            raise NotFound(f"volume {volume_id} is not exported")
        self._run("sudo", "ietadm", "--op", "show", f"--tid={number}")

    def _offer(self, volume: Record) -> tuple[str, str]:
        """Return portal and name of a volume's target."""
        offers, _complaints = self._run("sudo", "iscsiadm", "-m", "discovery", "-t", "sendtargets", "-p", "127.0.0.1")
        for line in offers.splitlines():
            portal, target = line.split()
            if target.endswith(f":{volume['name']}"):
                return portal.partition(",")[0], target
        raise NotFound(f"no target offers volume {volume['name']}")


class LoggingVolumeDriver:
    """Does nothing to volumes, and logs what it was asked for."""

    def __init__(self) -> None:
        self._log: list[dict[str, Any]] = []

    def check_for_setup_error(self) -> None:
        """Find nothing wrong."""

    def create_volume(self, volume: Record) -> None:
        """Log it."""
        self.log_action("create_volume", volume)

    def create_volume_from_snapshot(self, volume: Record, snapshot: Record) -> None:
        """Log it."""
        self.log_action("create_volume_from_snapshot", {**volume, "snapshot": dict(snapshot)})

    def delete_volume(self, volume: Record) -> None:
        """Log it."""
        self.log_action("delete_volume", volume)

    def create_snapshot(self, snapshot: Record) -> None:
        """Log it."""
        self.log_action("create_snapshot", snapshot)

    def delete_snapshot(self, snapshot: Record) -> None:
        """Log it."""
        self.log_action("delete_snapshot", snapshot)

    def local_path(self, volume: Record) -> str:
        """Log it; return a path where nothing is."""
        self.log_action("local_path", volume)
        return f"/dev/null/{volume['name']}"

    def ensure_export(self, context: Any, volume: Record) -> None:
        """Log it."""
        self.log_action("ensure_export", volume)

    def create_export(self, context: Any, volume: Record) -> None:
        """Log it."""
        self.log_action("create_export", volume)

    def remove_export(self, context: Any, volume: Record) -> None:
        """Log it."""
        self.log_action("remove_export", volume)

    def discover_volume(self, context: Any, volume: Record) -> str:
        """Log it; return a path where nothing is."""
        self.log_action("discover_volume", volume)
        return f"/dev/null/{volume['name']}"

    def undiscover_volume(self, volume: Record) -> None:
        """Log it."""
        self.log_action("undiscover_volume", volume)

    def check_for_export(self, context: Any, volume_id: Any) -> None:
        """Log it."""
        self.log_action("check_for_export", {"volume_id": volume_id})

    def clear_logs(self) -> None:
        """Forget what was logged."""
        self._log.clear()

    def log_action(self, action: str, parameters: Record | None = None) -> None:
        """Log an action with its parameters as they are now."""
        self._log.append({**(parameters or {}), "action": action})

    def all_logs(self) -> list[dict[str, Any]]:
        """Return everything that was logged, in order."""
        return [dict(entry) for entry in self._log]

    def logs_like(self, action: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return what was logged of an action with these parameters, whatever others it had."""
        wanted = {**parameters, "action": action}
        return [dict(entry) for entry in self._log if all(entry.get(key, self) == wanted[key] for key in wanted)]
