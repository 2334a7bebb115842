"""Where volumes lie: the pools of the services that are there, and which of them takes a volume."""

from __future__ import annotations

from typing import Any

from nova_fakes.api.volume.records import BackendService, VolumeType
from nova_fakes.api.volume.store import Store
from nova_fakes.volume.pool import GIB

__all__ = ["Backends"]

#: Extra specs that name a place; what else a type says, every pool here can do.
PLACES = ("volume_backend_name", "pool_name")


class Backends:
    """The pools of the cinder-volume services. A place is written as Cinder writes it: host@backend#pool.

    The pools of a service are those of the store that keeps the bytes, where that store is the service's; else it has
    one, which is named as the backend.

    Args:
        store: the records, with the services.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def places(self) -> dict[str, BackendService]:
        """Return the service of each place."""
        services = [one for one in self._store.services if one.binary == "cinder-volume"]
        return {f"{one.host}#{pool}": one for one in services for pool in self._store.content.pools(one.host)}

    def service(self, place: str) -> BackendService | None:
        """Return the service that serves a place, also where it has no such pool."""
        host = place.partition("#")[0]
        return next((one for one in self._store.services if one.binary == "cinder-volume" and one.host == host), None)

    def suits(self, place: str, kind: VolumeType) -> bool:
        """Tell whether a type's extra specs let its volumes lie there."""
        host, _, pool = place.partition("#")
        there = {"volume_backend_name": host.rpartition("@")[2], "pool_name": pool}
        return all(
            value.removeprefix("<is> ") == there[name]
            for name, value in ((key.removeprefix("capabilities:"), value) for key, value in kind.extra_specs.items())
            if name in PLACES
        )

    def choose(
        self, zone: str, kind: VolumeType, size_gb: int, *, near: str | None = None, leaving: str | None = None
    ) -> str | None:
        """Return the place that takes a new volume: the first of an enabled service, in that zone, with room.

        Args:
            zone: availability zone.
            kind: what the volume is to be.
            size_gb: how large, in GiB.
            near: place of its original, which is taken where it can be.
            leaving: a place that is out of the question.
        """
        found = [
            place
            for place, service in self.places().items()
            if not service.disabled
            and service.zone == zone
            and place != leaving
            and self.suits(place, kind)
            and self._store.content.has_room(place, size_gb * GIB)
        ]
        return near if near in found else next(iter(found), None)

    def statistics(self, place: str) -> dict[str, Any]:
        """Return what a place's backend tells the scheduler of it."""
        host, _, pool = place.partition("#")
        backend = host.rpartition("@")[2]
        return {
            "pool_name": pool,
            "volume_backend_name": backend,
            "driver_version": "1.0",
            "storage_protocol": "fake",
            "vendor_name": "nova-fakes",
            "multiattach": True,
            "QoS_support": True,
            "allocated_capacity_gb": sum(one.size_gb for one in self._store.volumes.values() if one.host == place),
            **self._store.content.statistics(place),
        }
