"""The operations of a hypervisor by the names that fault rules use."""

from __future__ import annotations

from fnmatch import fnmatchcase

from nova_fakes.exceptions import InvalidInput

__all__ = ["OPERATIONS", "check_pattern"]

#: Operations that make a guest, each with two steps: its interfaces are plugged, it is started.
_MAKING = ("spawn", "unshelve", "finish_migration", "finish_revert_migration", "live_migration")

OPERATIONS: frozenset[str] = frozenset(
    {
        *_MAKING,
        *(f"{operation}.{step}" for operation in _MAKING for step in ("plug", "start")),
        "attach_interface",
        "attach_volume",
        "attach_volume.find",
        "cache_image",
        "check_can_live_migrate_destination",
        "check_can_live_migrate_source",
        "check_instance_shared_storage",
        "confirm_migration",
        "console",
        "console_log",
        "cpu_stats",
        "crash",
        "destroy",
        "detach_interface",
        "detach_volume",
        "disk_info",
        "drop_disks",
        "extend_volume",
        "find",
        "get_available_resource",
        "get_info",
        "hard_reboot",
        "host_maintenance_mode",
        "inject_file",
        "is_share_mounted",
        "list",
        "manage_image_cache",
        "migrate_disk",
        "migrate_disk.find",
        "mount_share",
        "pause",
        "plug",
        "power_off",
        "power_on",
        "pre_live_migration",
        "quiesce",
        "rescue",
        "resume",
        "set_host_enabled",
        "set_password",
        "snapshot",
        "snapshot.begin",
        "soft_reboot",
        "statistics",
        "suspend",
        "swap_volume",
        "swap_volume.copy",
        "switch_over",
        "umount_share",
        "unpause",
        "unplug",
        "unquiesce",
        "unrescue",
        "update_provider_tree",
        "uptime",
    }
)


def check_pattern(operation: str) -> None:
    """Refuse an operation, or a shell pattern of operations, that no hypervisor has.

    :raises InvalidInput: names those that there are
    """
    if not any(fnmatchcase(known, operation) for known in OPERATIONS):
        raise InvalidInput("operation", operation, f"use one of {', '.join(sorted(OPERATIONS))}, or a pattern of them")
