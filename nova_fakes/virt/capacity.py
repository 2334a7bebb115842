"""What of a host's inventory is claimed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from nova_fakes.exceptions import InsufficientCapacity
from nova_fakes.virt.guest import Claim
from nova_fakes.virt.inventory import Inventory

__all__ = ["Capacity", "Claims", "NodesCapacity", "capacity_of"]


class Claims(Protocol):
    """What a host keeps its claims in. It serialises the calls."""

    @property
    def used(self) -> Claim:
        """All claims together."""

    def vcpu_s(self, now_s: float) -> float:
        """Return for how long processors were claimed, times their number, seconds."""

    def node(self, name: str) -> Claims:
        """Return those of one node."""

    def claim(self, host: str, wanted: Claim, now_s: float) -> None:
        """Take it, all or nothing.

        :raises InsufficientCapacity: names what there is too little of
        """

    def restore(self, held: Claim) -> None:
        """Take again what was held before a restart, whatever the limits are now."""

    def release(self, held: Claim, now_s: float) -> None:
        """Give it back."""


def capacity_of(inventory: Inventory, nodes: Sequence[str], now_s: float) -> Claims:
    """Return the capacity of a host with these nodes, nothing of it claimed."""
    if len(nodes) == 1:
        return Capacity(inventory, now_s)
    return NodesCapacity(inventory, nodes, now_s)


class Capacity:
    """The capacity of one node."""

    __slots__ = (
        "_inventory",
        "_known",
        "_since_s",
        "_totals",
        "_vcpu_s",
        "disk_gb",
        "items",
        "memory_mb",
        "pcpus",
        "resources",
        "vcpus",
    )

    def __init__(self, inventory: Inventory, now_s: float) -> None:
        self._inventory = inventory
        self._known = inventory.items()
        self._totals = inventory.totals()
        self._vcpu_s = 0.0
        self._since_s = now_s
        self.vcpus = 0
        self.pcpus = 0
        self.memory_mb = 0
        self.disk_gb = 0
        #: Claimed things of which there is one each.
        self.items: set[str] = set()
        #: How much is claimed of further resource classes.
        self.resources: Counter[str] = Counter()

    @property
    def used(self) -> Claim:
        """All claims together."""
        resources = tuple(sorted((name, amount) for name, amount in self.resources.items() if amount))
        return Claim(self.vcpus, self.memory_mb, self.disk_gb, tuple(sorted(self.items)), resources)

    def vcpu_s(self, now_s: float) -> float:
        """Return for how long processors were claimed, times their number, seconds."""
        return self._vcpu_s + (self.vcpus + self.pcpus) * (now_s - self._since_s)

    def node(self, name: str) -> Claims:
        """Return itself: there is one node."""
        return self

    def claim(self, host: str, wanted: Claim, now_s: float) -> None:
        """Take it, all or nothing.

        :raises InsufficientCapacity: names what there is too little of
        """
        inventory = self._inventory
        vcpus, memory_mb, disk_gb, items, resources, _node = wanted
        if inventory.vcpu_limit is not None:
            _check(host, "vcpus", self.vcpus, vcpus, inventory.vcpus * inventory.vcpu_limit)
        if inventory.memory_limit is not None:
            _check(host, "memory_mb", self.memory_mb, memory_mb, inventory.memory_mb * inventory.memory_limit)
        if inventory.disk_limit is not None:
            _check(host, "disk_gb", self.disk_gb, disk_gb, inventory.disk_gb * inventory.disk_limit)
        for name, amount in resources:
            # Of a class that is not this host's the amount lies with a sharing provider.
            if name in self._totals:
                _check(host, name, self.resources[name], amount, self._totals[name])
        for item in items:
            if item not in self._known:
                raise InsufficientCapacity(f"host {host} has no {item}: add it to its inventory or ask for another")
            if item in self.items:
                raise InsufficientCapacity(f"{item} of host {host} is another guest's: free it or ask for another")
        self._pass(now_s)
        self.restore(wanted)

    def restore(self, held: Claim) -> None:
        """Take again what was held before a restart, whatever the limits are now."""
        self.vcpus += held.vcpus
        self.memory_mb += held.memory_mb
        self.disk_gb += held.disk_gb
        if held.items or held.resources:
            self.items.update(held.items)
            self.pcpus += held.pcpus
            self.resources.update(dict(held.resources))

    def release(self, held: Claim, now_s: float) -> None:
        """Give it back."""
        self._pass(now_s)
        self.vcpus -= held.vcpus
        self.memory_mb -= held.memory_mb
        self.disk_gb -= held.disk_gb
        if held.items or held.resources:
            self.items.difference_update(held.items)
            self.pcpus -= held.pcpus
            self.resources.subtract(dict(held.resources))

    def _pass(self, now_s: float) -> None:
        self._vcpu_s += (self.vcpus + self.pcpus) * (now_s - self._since_s)
        self._since_s = now_s


class NodesCapacity:
    """The capacities of a host's several nodes. What names no node is on the first."""

    def __init__(self, inventory: Inventory, nodes: Sequence[str], now_s: float) -> None:
        self._nodes = {name: Capacity(inventory, now_s) for name in nodes}
        self._first = self._nodes[nodes[0]]

    @property
    def used(self) -> Claim:
        """All claims together; a node's name stands before its items'."""
        return Claim.total(
            used._replace(items=tuple(f"{name} {item}" for item in used.items))
            for name, used in ((name, part.used) for name, part in self._nodes.items())
        )

    def vcpu_s(self, now_s: float) -> float:
        """Return for how long processors were claimed, times their number, seconds."""
        return sum(part.vcpu_s(now_s) for part in self._nodes.values())

    def node(self, name: str) -> Claims:
        """Return the capacity of one node; of the first where there is none of that name."""
        return self._nodes.get(name, self._first)

    def claim(self, host: str, wanted: Claim, now_s: float) -> None:
        """Take it, all or nothing.

        :raises InsufficientCapacity: names what its node has too little of
        """
        self.node(wanted.node or "").claim(wanted.node or host, wanted, now_s)

    def restore(self, held: Claim) -> None:
        """Take again what was held before a restart, whatever the limits are now."""
        self.node(held.node or "").restore(held)

    def release(self, held: Claim, now_s: float) -> None:
        """Give it back."""
        self.node(held.node or "").release(held, now_s)


def _check(host: str, what: str, used: int, wanted: int, limit: float) -> None:
    if used + wanted > limit:
        raise InsufficientCapacity(
            f"host {host} has {limit:g} {what}, {used} of them claimed: {wanted} more do not fit; "
            "ask for less, free some or use another host"
        )
