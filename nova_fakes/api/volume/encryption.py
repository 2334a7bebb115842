"""Encryption of volumes: what a type says of it, and what of that hosts are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.records import CIPHERING, VolumeType
from nova_fakes.api.volume.refusals import not_found
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.exceptions import ApiError

__all__ = ["Encryption"]


class Encryption:
    """The encryption of one volume service's types. Nothing is encrypted here: hosts do it, by what they are told.

    Args:
        store: the records.
        volumes: what is encrypted.
    """

    def __init__(self, store: Store, volumes: Volumes) -> None:
        self._store = store
        self._volumes = volumes

    def get(self, type_id: str) -> dict[str, Any]:
        """Return what a type says; empty if its volumes are not encrypted; ApiError 404 for an unknown type."""
        with self._store.lock:
            return dict(self._type(type_id).encryption or {})

    def create(self, type_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Let the volumes of a type be encrypted from now on.

        Args:
            type_id: a type that has no volumes.
            values: provider, control_location and, where they are known, cipher and key_size.

        Raises:
            ApiError: 404, unknown type; 400, it has volumes, or is of encrypted volumes already.
        """
        with self._store.lock:
            self._require_unused(type_id, "create")
            kind = self._type(type_id)
            if kind.encryption is not None:
                raise ApiError(400, f"Volume type encryption for type {type_id} already exists.")
            kind.encryption = {
                **{name: values.get(name) for name in CIPHERING},
                "encryption_id": self._store.new_id(),
                "volume_type_id": type_id,
            }
            return dict(kind.encryption)

    def update(self, type_id: str, encryption_id: str, values: Mapping[str, Any]) -> None:
        """Change what is given of a type's encryption; ApiError 404, or 400 where the type has volumes."""
        with self._store.lock:
            kind = self._type(type_id)
            self._require_unused(type_id, "update")
            if kind.encryption is None or kind.encryption["encryption_id"] != encryption_id:
                raise _missing(type_id)
            kind.encryption |= {name: values[name] for name in CIPHERING if name in values}

    def delete(self, type_id: str) -> None:
        """Let the volumes of a type not be encrypted; ApiError 404, or 400 where it has volumes."""
        with self._store.lock:
            self._require_unused(type_id, "delete")
            kind = self._store.types.get(type_id)
            if kind is None or kind.encryption is None:
                raise _missing(type_id)
            kind.encryption = None

    def item(self, type_id: str, key: str) -> Any:
        """Return one of the things that a type says; ApiError 404."""
        found = self.get(type_id)
        if key not in found:
            raise _missing(type_id)
        return found[key]

    def of_volume(self, token: Token, volume_id: str) -> dict[str, Any]:
        """Return what a host has to know to read a volume; of one that is not encrypted no more than that.

        Raises:
            ApiError: 404, unknown volume.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            said = self._store.types[volume.type_id].ciphering or {}
            return {"encryption_key_id": volume.encryption_key_id, **said}

    def _type(self, type_id: str) -> VolumeType:
        if type_id not in self._store.types:
            raise not_found("Volume type", type_id)
        return self._store.types[type_id]

    def _require_unused(self, type_id: str, action: str) -> None:
        if self._store.type_is_used(type_id):
            raise ApiError(400, f"Cannot {action} encryption specs. Volume type in use.")


def _missing(type_id: str) -> ApiError:
    return ApiError(404, f"Volume type encryption for type {type_id} does not exist.")
