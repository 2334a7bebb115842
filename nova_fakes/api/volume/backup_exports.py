"""Records of backups on their way from one volume service to another, whose bytes stay where they are."""

from __future__ import annotations

import base64
import copy
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.backups import Backups
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import Backup
from nova_fakes.api.volume.refusals import invalid_backup, invalid_input
from nova_fakes.api.volume.schema import validate
from nova_fakes.api.volume.store import Store
from nova_fakes.exceptions import ApiError

__all__ = ["DRIVER", "BackupExports"]

LOG = logging.getLogger(__name__)

#: What takes backups in: the driver whose default container the backups are in.
DRIVER = "cinder.backup.drivers.swift.SwiftBackupDriver"
#: Of whose volume a backup is until its record has been read (cinder/backup/api.py).
NO_VOLUME = "00000000-0000-0000-0000-000000000000"
#: By the names that they have in Cinder's record, what is taken over as it is.
TAKEN = {
    "display_name": "name",
    "display_description": "description",
    "container": "container",
    "object_count": "object_count",
    "parent_id": "parent_id",
    "snapshot_id": "snapshot_id",
    "encryption_key_id": "encryption_key_id",
}
#: What a record has to say (cinder/backup/manager.py).
REQUIRED = ("id", "size", "display_name", "display_description", "container", "service_metadata", "object_count")
#: What a volume had besides bytes where the record does not tell.
BLANK: Mapping[str, Any] = {
    "name": None,
    "description": None,
    "metadata": {},
    "image_metadata": {},
    "bootable": False,
    "type_id": None,
    "encryption_key_id": None,
}


class BackupExports:
    """Gives records of backups away and takes them in: a service that has lost its own finds its backups again.

    Args:
        store: the records.
        quotas: what projects may use.
        backups: see `Backups`.
    """

    def __init__(self, store: Store, quotas: Quotas, backups: Backups) -> None:
        self._store = store
        self._quotas = quotas
        self._backups = backups

    def export(self, token: Token, backup_id: str) -> dict[str, str]:
        """Return the driver that a backup needs, and its record as text.

        Raises:
            ApiError: 404, unknown backup, or no service; 400, it is not available.
        """
        with self._store.lock:
            backup = self._backups.get(token, backup_id)
            if backup.status != "available":
                raise invalid_backup(f"Backup status must be available and not {backup.status}.")
            self._backups.require_service(backup)
            text = json.dumps(self._record(backup))
        return {"backup_service": DRIVER, "backup_url": base64.b64encode(text.encode()).decode()}

    def take(self, token: Token, service: str, url: str) -> Backup:
        """Take a record in as the project's own.

        Args:
            token: who asks.
            service: the driver that the backup needs.
            url: what `export` returned as text.

        Returns:
            The backup while it is "creating". It is "available" by now, or in "error" with a `fail_reason`.

        Raises:
            ApiError: 400, the text is no record, or there is such a backup; 413, a quota; 503, nobody takes it.
        """
        record = _decoded(url)
        with self._store.lock:
            if self._backups.service() is None:
                raise ApiError(503, f"Service {service} could not be found.")
            if record["id"] in self._store.backups:
                raise invalid_backup("Backup already exists in database.")
            assert token.project_id is not None
            self._quotas.charge_backup(token.project_id, backups=1, gigabytes=record["size"])
            now = self._store.clock.now()
            backup = Backup(
                id=record["id"],
                volume_id=NO_VOLUME,
                project_id=token.project_id,
                user_id=token.user_id,
                name=None,
                description=None,
                size_gb=record["size"],
                status="creating",
                created_at=now,
                data_timestamp=now,
                volume=copy.deepcopy(dict(BLANK)),
            )
            self._store.backups[backup.id] = backup
            answer = copy.deepcopy(backup)
            try:
                self._read(backup, service, record)
                backup.status = "available"
            except ApiError as error:
                LOG.warning("backup %s: %s", backup.id, error)
                backup.status, backup.fail_reason = "error", error.message
            backup.updated_at = now
            return answer

    def _record(self, backup: Backup) -> dict[str, Any]:
        """Return what Cinder 29 says of a backup (cinder/objects/backup.py)."""
        service = self._backups.service(backup.availability_zone)
        dependents = sum(one.parent_id == backup.id for one in self._store.backups.values())
        return {
            **{there: getattr(backup, here) for there, here in TAKEN.items()},
            "id": backup.id,
            "user_id": backup.user_id,
            "project_id": backup.project_id,
            "volume_id": backup.volume_id,
            "host": None if service is None else service.host,
            "availability_zone": backup.availability_zone,
            "status": backup.status,
            "fail_reason": backup.fail_reason,
            "size": backup.size_gb,
            "service": DRIVER,
            "service_metadata": f"volume_{backup.volume_id}/{backup.id}",
            "temp_volume_id": None,
            "temp_snapshot_id": None,
            "num_dependent_backups": dependents,
            "data_timestamp": _written(backup.data_timestamp),
            "restore_volume_id": None,
            "metadata": dict(backup.metadata),
            "created_at": _written(backup.created_at),
            "updated_at": None if backup.updated_at is None else _written(backup.updated_at),
            "deleted": False,
            "deleted_at": None,
            "driver_info": {"volume": dict(backup.volume)},
        }

    def _read(self, backup: Backup, service: str, record: Mapping[str, Any]) -> None:
        """Fill a backup from its record; ApiError 400 where it does not say enough, or another driver is needed."""
        if service != DRIVER:
            raise invalid_backup(
                f"Import record failed, cannot find backup service to perform the import. Request service {service}"
            )
        missing = [name for name in REQUIRED if name not in record]
        if missing:
            raise invalid_backup(
                f"Driver successfully decoded imported backup data, but there are missing fields "
                f"({', '.join(missing)})."
            )
        validate("backup record", record)
        said = (record.get("driver_info") or {}).get("volume") or {}
        times = {name: _read_time(record[name]) for name in ("created_at", "data_timestamp") if record.get(name)}
        for there, here in TAKEN.items():
            setattr(backup, here, record.get(there))
        for name, value in times.items():
            setattr(backup, name, value)
        backup.volume_id = record.get("volume_id") or NO_VOLUME
        backup.metadata = dict(record.get("metadata") or {})
        backup.volume |= {name: said[name] for name in BLANK if name in said}
        found = self._backups.service()
        backup.availability_zone = None if found is None else found.zone


def _decoded(url: str) -> dict[str, Any]:
    try:
        data = base64.b64decode(url)
    except ValueError:
        raise ApiError(
            400, f"Invalid input for field/attribute backup_url. Value: {url}. '{url}' is not a 'base64'"
        ) from None
    try:
        record = json.loads(data)
    except ValueError:
        raise invalid_input("Can't parse backup record.") from None
    if not isinstance(record, dict) or "id" not in record:
        raise invalid_input("Provided backup record is missing an id")
    if "size" not in record:
        raise invalid_input("Provided backup record is missing size attribute")
    validate("backup identity", {name: record[name] for name in ("id", "size")})
    return record


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _read_time(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_backup(f"{text} is no time.") from None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
