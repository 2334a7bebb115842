"""What happens to a volume that exists already: larger, another image, another status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume import images
from nova_fakes.api.volume.images import ImageSink, ImageSource
from nova_fakes.api.volume.messages import Event, tell
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import Volume
from nova_fakes.api.volume.refusals import invalid_input, invalid_volume, one_of
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["Changes", "Notifier"]

LOG = logging.getLogger(__name__)

# Takes external events for nova, as POST /os-server-external-events does: name, server_uuid, tag.
Notifier = Callable[[list[dict[str, Any]]], None]

STATUSES = (
    "attaching",
    "available",
    "awaiting-transfer",
    "backing-up",
    "creating",
    "deleting",
    "detaching",
    "downloading",
    "error",
    "error_backing-up",
    "error_deleting",
    "error_extending",
    "error_managing",
    "error_restoring",
    "extending",
    "in-use",
    "maintenance",
    "managing",
    "reserved",
    "restoring-backup",
    "retyping",
    "uploading",
)
ATTACH_STATUSES = ("attached", "attaching", "detached", "detaching", "error_attaching", "error_detaching", "reserved")


class Changes:
    """The changes that Cinder offers as actions on a volume.

    Args:
        store: the records.
        quotas: what projects may use.
        volumes: what is changed.
        images: where images are looked up.
        sink: takes images that are made of volumes.
        notifier: tells nova of volumes that were extended or re-imaged.
    """

    def __init__(
        self,
        store: Store,
        quotas: Quotas,
        volumes: Volumes,
        *,
        images: ImageSource | None,
        notifier: Notifier | None,
        sink: ImageSink | None = None,
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._volumes = volumes
        self._images = images
        self._notifier = notifier
        self._sink = sink

    def extend(self, token: Token, volume_id: str, new_size_gb: int, *, attached: bool) -> None:
        """Make a volume larger; where it is attached, nova is told.

        Args:
            token: who asks.
            volume_id: the volume.
            new_size_gb: more than now, in GiB.
            attached: whether the API version (3.42 and later) allows that for a volume in use.

        Raises:
            ApiError: 404, unknown volume; 400, the size does not grow or the status is wrong; 413, a quota.
        """
        events: list[dict[str, Any]] = []
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            growth_gb = new_size_gb - volume.size_gb
            if growth_gb <= 0:
                raise invalid_input(
                    f"New size for extend must be greater than current size. (current: {volume.size_gb}, extended: "
                    f"{new_size_gb})."
                )
            expected = "in-use" if attached and volume.status == "in-use" else "available"
            if volume.status != expected:
                raise invalid_volume(
                    f"Volume {volume_id} status must be '{{'status': '{expected}'}}' to extend, currently "
                    f"{volume.status}."
                )
            self._quotas.check_size(volume.project_id, new_size_gb)
            self._quotas.charge(volume.project_id, self._type_name(volume.type_id), gigabytes=growth_gb)
            try:
                self._store.content.extend(volume, new_size_gb)
            except NovaFakesError as error:
                LOG.warning("volume %s: %s", volume_id, error)
                self._quotas.charge(volume.project_id, self._type_name(volume.type_id), gigabytes=-growth_gb)
                tell(self._store, Event.NOT_EXTENDED, volume.project_id, volume_id)
                volume.status = "error_extending"
                return
            volume.size_gb = new_size_gb
            volume.updated_at = self._store.clock.now()
            if expected == "in-use":
                events = self._events("volume-extended", volume_id)
        self._tell(events)

    def reset_status(
        self,
        token: Token,
        volume_id: str,
        *,
        status: str | None = None,
        attach_status: str | None = None,
        migration_status: str | None = None,
    ) -> None:
        """Overwrite what is not None of a volume's states (administrators).

        Raises:
            ApiError: 404, unknown volume; 400, unknown state, or one that cannot be set.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if status is None and attach_status is None and migration_status is None:
                raise invalid_input("Must specify 'status', 'attach_status', or 'migration_status' for update.")
            for field, value, known in (
                ("status", status, STATUSES),
                ("attach_status", attach_status, ATTACH_STATUSES),
            ):
                if value is not None and value.lower() not in known:
                    raise invalid_input(f"Must specify a valid {field}: one of {', '.join(known)}, not '{value}'.")
            if status is not None and status.lower() in ("deleting", "error_deleting", "detaching"):
                raise ApiError(400, f"Cannot reset-state to {status.lower()}")
            attachments = self._store.attachments_of(volume_id)
            if status is not None and status.lower() == "in-use" and not attachments:
                raise ApiError(400, "Cannot reset-state to in-use because volume does not have any attachments.")
            if status is not None:
                volume.status = status.lower()
            if migration_status is not None:
                volume.migration_status = None if migration_status.lower() == "none" else migration_status.lower()
            if attach_status is not None:
                volume.attach_status = attach_status.lower()
                if volume.attach_status == "detached":
                    for attachment in attachments:
                        self._store.remove_attachment(attachment)
            volume.updated_at = self._store.clock.now()

    def set_read_only(self, token: Token, volume_id: str, read_only: bool) -> None:
        """Allow only read-only attachments from now on, or no longer only those.

        Raises:
            ApiError: 404, unknown volume; 400, it is not available.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if volume.status != "available":
                raise invalid_volume(
                    f"Volume {volume_id} status must be available to update readonly flag, but current status is: "
                    f"{volume.status}."
                )
            volume.read_only = read_only
            volume.updated_at = self._store.clock.now()

    def reimage(self, token: Token, volume_id: str, image_reference: str, *, reserved: bool) -> None:
        """Put another image on a volume; where a server has it reserved for a rebuild, nova is told.

        Args:
            token: who asks.
            volume_id: the volume.
            image_reference: id of the image.
            reserved: whether a reserved volume may be re-imaged.

        Raises:
            ApiError: 404, unknown volume; 400, wrong status, unknown or unfit image; 409, several attachments.
        """
        image = images.find(self._images, image_reference, token)
        events: list[dict[str, Any]] = []
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if len(self._store.attachments_of(volume_id)) > 1:
                raise ApiError(409, "Cannot re-image a volume which is attached to more than one server.")
            expected = ("available", "error", "reserved") if reserved else ("available", "error")
            if volume.status not in expected:
                raise invalid_volume(
                    f"Volume {volume_id} status must be {one_of(expected)}, but current status is {volume.status}."
                )
            images.check_fits(image, volume.size_gb)
            try:
                self._store.content.load_image(volume_id, image, token)
            except NovaFakesError as error:
                LOG.warning("volume %s: %s", volume_id, error)
                tell(self._store, Event.NOT_REIMAGED, volume.project_id, volume_id)
                volume.status = "error"
                return
            volume.image_metadata = images.metadata(image)
            volume.bootable = True
            volume.updated_at = self._store.clock.now()
            if volume.status == "reserved":
                events = self._events("volume-reimaged", volume_id)
        self._tell(events)

    def revert(self, token: Token, volume_id: str, snapshot_id: str) -> None:
        """Bring an available volume back to its latest snapshot.

        Raises:
            ApiError: 404, unknown volume; 400, it is not available, the snapshot is not its latest, or has another
                size.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            latest = (self._store.snapshots_of(volume_id) or [None])[-1]  # type: ignore[list-item]
            if latest is None:
                raise invalid_volume(f"Volume {volume_id} has no snapshots.")
            if latest.id != snapshot_id:
                raise invalid_input(f"Specified snapshot id is {snapshot_id}, but the latest one is {latest.id}.")
            if latest.size_gb != volume.size_gb:
                raise invalid_input(
                    "Reverting volume is not supported if the volume size is not equal to the snapshot size."
                )
            if volume.status != "available" or latest.status != "available":
                raise invalid_volume(
                    f"Can't revert volume {volume_id} to its latest snapshot: status must be available."
                )
            try:
                self._store.content.revert(volume_id, snapshot_id)
            except NovaFakesError as error:
                LOG.warning("volume %s: %s", volume_id, error)
                volume.status = "error"
            volume.updated_at = self._store.clock.now()

    def upload(self, token: Token, volume_id: str, values: Mapping[str, Any], *, force: bool) -> tuple[Volume, str]:
        """Make an image of a volume; return the volume as it is meanwhile, and the image's id.

        Args:
            token: who asks; the image becomes his project's.
            volume_id: the volume.
            values: name, disk_format, container_format, visibility, protected.
            force: whether it may be attached.

        Raises:
            ApiError: 404, unknown volume; 400, its status does not allow it, or there is no image service; whatever
                the image service refuses the image with.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            allowed = ("available", "in-use") if force else ("available",)
            if volume.status not in allowed:
                raise invalid_volume(f"Volume {volume_id} status must be {one_of(allowed)}, but is {volume.status}.")
            if self._sink is None:
                raise ApiError(400, "There is no image service beside this one.")
            found = {**images.properties(volume.image_metadata), **values}
            image_id = str(self._sink.create(token, found).id)
            before, volume.status = volume.status, "uploading"
            answer = replace(volume)
        try:
            self._sink.upload(token, image_id, self._store.content.image(volume_id, found["disk_format"]))
        except NovaFakesError as error:
            LOG.warning("image %s of volume %s: %s", image_id, volume_id, error)
            self._sink.delete(token, image_id)
            with self._store.lock:
                tell(self._store, Event.NOT_UPLOADED, volume.project_id, volume_id)
        finally:
            with self._store.lock:
                volume.status, volume.updated_at = before, self._store.clock.now()
        return answer, image_id

    def _type_name(self, type_id: str) -> str:
        return self._store.types[type_id].name

    def _events(self, name: str, volume_id: str) -> list[dict[str, Any]]:
        servers = {attachment.instance_id for attachment in self._store.attachments_of(volume_id)}
        return [{"name": name, "server_uuid": server, "tag": volume_id} for server in servers if server is not None]

    def _tell(self, events: list[dict[str, Any]]) -> None:
        # Without the lock: the notifier may take its time, and nova may come back with a question.
        if events and self._notifier is not None:
            self._notifier(events)
