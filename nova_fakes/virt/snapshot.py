"""The bytes of a snapshot: small, real, and different for every guest and moment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nova_fakes.virt.guest import Guest

__all__ = ["DISK_FORMAT", "snapshot_bytes"]

DISK_FORMAT = "raw"

_SECTOR = 512


def snapshot_bytes(guest: Guest, host: str, now_s: float) -> bytes:
    """Return a raw disk: a boot sector with its signature, then the guest's description in whole sectors.

    A real root disk is as large as the flavor says; nobody boots these bytes, and many snapshots must stay cheap.
    """
    boot_sector = b"\x00" * (_SECTOR - 2) + b"\x55\xaa"
    description = {
        "guest": guest.uuid,
        "name": guest.name,
        "host": host,
        "image": guest.spec.image,
        "state": str(guest.state),
        "quiesced": guest.quiesced,
        "root_gb": guest.spec.root_gb,
        "taken_at_s": now_s,
    }
    body = json.dumps(description, sort_keys=True).encode()
    return boot_sector + body + b"\x00" * (-len(body) % _SECTOR)
