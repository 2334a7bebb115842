"""Specifications of quality of service, and the volume types that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova_fakes.api.volume.records import QosSpecs, VolumeType
from nova_fakes.api.volume.refusals import key_not_found
from nova_fakes.api.volume.store import Store
from nova_fakes.exceptions import ApiError

__all__ = ["CONSUMERS", "QualityOfService"]

CONSUMERS = ("front-end", "back-end", "both")


class QualityOfService:
    """The specifications of one volume service. What is attached learns of changes when it is attached anew."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, specs_id: str) -> QosSpecs:
        """Return the specifications of that id; ApiError 404."""
        found = self._store.qos.get(specs_id)
        if found is None:
            raise ApiError(404, f"No such QoS spec {specs_id}.")
        return found

    def all(self) -> list[QosSpecs]:
        """Return all, the newest first."""
        with self._store.lock:
            return list(self._store.qos.values())[::-1]

    def create(self, name: str, consumer: str, specs: Mapping[str, str]) -> QosSpecs:
        """Make specifications.

        Args:
            name: unlike every other.
            consumer: who keeps to them: "front-end", "back-end" or "both".
            specs: values by key.

        Raises:
            ApiError: 409, the name is taken; 400, there is no such consumer.
        """
        with self._store.lock:
            _check(consumer)
            if any(one.name == name for one in self._store.qos.values()):
                raise ApiError(409, f"QoS Specs {name} already exists.")
            made = QosSpecs(id=self._store.new_id(), name=name, consumer=consumer, specs=dict(specs))
            self._store.qos[made.id] = made
            return made

    def update(self, specs_id: str, specs: Mapping[str, str], consumer: str | None = None) -> QosSpecs:
        """Add or change keys, and the consumer where one is given; ApiError 404 or 400."""
        with self._store.lock:
            found = self.get(specs_id)
            if consumer is not None:
                _check(consumer)
                found.consumer = consumer
            found.specs.update(specs)
            return found

    def unset(self, specs_id: str, keys: Iterable[str]) -> None:
        """Drop keys, all or none; ApiError 404, one of them is not there."""
        with self._store.lock:
            found, gone = self.get(specs_id), list(keys)
            for key in gone:
                if key not in found.specs:
                    raise key_not_found("QoS spec", specs_id, key)
            found.specs = {key: value for key, value in found.specs.items() if key not in gone}

    def delete(self, specs_id: str, *, force: bool) -> None:
        """Delete specifications.

        Args:
            specs_id: which.
            force: also where types have them, which lose them.

        Raises:
            ApiError: 404, there are none; 400, types have them.
        """
        with self._store.lock:
            found = self.get(specs_id)
            if self.types(specs_id) and not force:
                raise ApiError(400, f"QoS Specs {found.id} is still associated with entities.")
            self.part(specs_id)
            del self._store.qos[specs_id]

    def types(self, specs_id: str) -> list[VolumeType]:
        """Return the types that have these specifications; ApiError 404."""
        with self._store.lock:
            self.get(specs_id)
            return [one for one in self._store.types.values() if one.qos_specs_id == specs_id]

    def join(self, specs_id: str, type_id: str) -> None:
        """Let a type have specifications.

        Raises:
            ApiError: 404, either is not there; 400, the type has others.
        """
        with self._store.lock:
            self.get(specs_id)
            kind = self._type(type_id)
            if kind.qos_specs_id not in (None, specs_id):
                raise ApiError(
                    400, f"Invalid volume type: Type {type_id} is already associated with another qos specs."
                )
            kind.qos_specs_id = specs_id

    def part(self, specs_id: str, type_id: str | None = None) -> None:
        """Take specifications from a type, or from all; ApiError 404, one of them is not there."""
        with self._store.lock:
            kinds = self.types(specs_id) if type_id is None else [self._type(type_id)]
            self.get(specs_id)
            for kind in kinds:
                if kind.qos_specs_id == specs_id:
                    kind.qos_specs_id = None

    def _type(self, type_id: str) -> VolumeType:
        found = self._store.types.get(type_id)
        if found is None:
            raise ApiError(404, f"Volume type {type_id} could not be found.")
        return found


def _check(consumer: str) -> None:
    if consumer not in CONSUMERS:
        raise ApiError(400, f"Invalid qos specs: Valid consumer of QoS specs are: {list(CONSUMERS)}")
