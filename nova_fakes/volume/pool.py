"""Pools: the room that volumes are made in, promised or really taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.chunks import Meter
from nova_fakes.volume.errors import PoolFull

__all__ = ["GIB", "Pool"]

GIB = 1 << 30


@dataclass(slots=True, kw_only=True)
class Pool:
    """A pool. What it means by thin and by the ratio is Cinder's (``cinder/scheduler/filters/capacity_filter.py``).

    :param name: its own, without host and backend
    :param total_bytes: its size; None: without end
    :param reserved_percentage: of the size, that no volume may be promised
    :param max_over_subscription_ratio: how many times the size may be promised where volumes are thin
    :param thin: volumes take room as they are written; else each takes all of its size at once
    :raises InvalidInput: a value cannot be used
    """

    name: str = "pool"
    total_bytes: int | None = None
    reserved_percentage: int = 0
    max_over_subscription_ratio: float = 20.0
    thin: bool = True
    meter: Meter = field(init=False, repr=False, compare=False)
    #: What has been promised to its volumes.
    provisioned_bytes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if not self.name or set("@#/") & set(self.name):
            raise InvalidInput("name", self.name, "give a pool a name without @, # and /")
        if self.total_bytes is not None and self.total_bytes < 0:
            raise InvalidInput("total_bytes", self.total_bytes, "give a size of 0 or more, or None")
        if not 0 <= self.reserved_percentage <= 100:
            raise InvalidInput("reserved_percentage", self.reserved_percentage, "give 0 to 100")
        if self.max_over_subscription_ratio < 1.0:
            raise InvalidInput("max_over_subscription_ratio", self.max_over_subscription_ratio, "give 1 or more")
        self.meter = Meter(self.total_bytes)

    @property
    def allocated_bytes(self) -> int:
        """What its volumes and snapshots take up."""
        return self.meter.used_bytes if self.thin else self.provisioned_bytes

    @property
    def free_bytes(self) -> int | None:
        """What is left of its size; None: without end."""
        return None if self.total_bytes is None else max(0, self.total_bytes - self.allocated_bytes)

    def promise(self, growth_bytes: int) -> None:
        """Promise that much to a volume, or take a promise back where it is negative.

        :raises PoolFull: it may not be promised
        """
        if growth_bytes > 0 and self.total_bytes is not None:
            self._require_room(growth_bytes, self.total_bytes)
        self.provisioned_bytes += growth_bytes

    def _require_room(self, growth_bytes: int, total_bytes: int) -> None:
        usable_bytes = total_bytes - self.allocated_bytes - total_bytes * self.reserved_percentage // 100
        if self.thin:
            ratio = self.max_over_subscription_ratio
            if self.provisioned_bytes + growth_bytes > total_bytes * ratio:
                raise PoolFull(
                    f"pool {self.name} has promised {self.provisioned_bytes} of {total_bytes} bytes and may promise "
                    f"{ratio:g} times as much: {growth_bytes} more are too many"
                )
            usable_bytes = int(usable_bytes * ratio)
        if growth_bytes > usable_bytes:
            raise PoolFull(
                f"pool {self.name} has room for {max(0, usable_bytes)} bytes beside what it reserves; "
                f"{growth_bytes} are asked for: delete volumes or enlarge it"
            )

    def statistics(self) -> dict[str, Any]:
        """Return what Cinder's scheduler is told of it."""
        endless = self.total_bytes is None
        free = self.free_bytes
        return {
            "pool_name": self.name,
            "total_capacity_gb": "infinite" if endless else round((self.total_bytes or 0) / GIB, 2),
            "free_capacity_gb": "infinite" if free is None else round(free / GIB, 2),
            "allocated_capacity_gb": round(self.allocated_bytes / GIB, 2),
            "provisioned_capacity_gb": round(self.provisioned_bytes / GIB, 2),
            "reserved_percentage": self.reserved_percentage,
            "max_over_subscription_ratio": str(self.max_over_subscription_ratio),
            "thin_provisioning_support": self.thin,
            "thick_provisioning_support": not self.thin,
        }
