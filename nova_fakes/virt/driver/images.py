"""The driver's methods about images."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from nova import exception
from nova.compute import task_states

from nova_fakes import exceptions
from nova_fakes.virt.driver.base import HypervisorDriver
from nova_fakes.virt.driver.translation import translated
from nova_fakes.virt.records import failure_recorded
from nova_fakes.virt.snapshot import DISK_FORMAT

__all__ = ["ImageMethods"]


class ImageMethods(HypervisorDriver):
    """Snapshots and the image cache."""

    @translated()
    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Callable[..., None]) -> None:
        """Upload the guest's disk to the image service.

        :raises InstanceNotRunning: the instance is not here
        """
        try:
            with failure_recorded(self._hypervisor, instance.uuid, "snapshot"):
                self._hypervisor.guest(instance.uuid, "snapshot.begin")
        except exceptions.GuestNotFound as error:
            raise exception.InstanceNotRunning(instance_id=instance.uuid) from error
        images = self._images()
        name = images.get(context, image_id)["name"]
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        contents = self._hypervisor.snapshot(instance.uuid)
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
        images.update(context, image_id, _snapshot_metadata(instance, name), io.BytesIO(contents))

    @translated()
    def cache_image(self, context: Any, image_id: str) -> bool:
        """Put an image into the cache; tell whether it was not there yet.

        :raises ImageNotFound: there is no such image
        """
        host = self._hypervisor
        if image_id not in host.cached_images:
            self._images().get(context, image_id)
        return host.cache_image(image_id)

    @translated()
    def manage_image_cache(self, context: Any, all_instances: Iterable[Any]) -> None:
        """Drop images that no instance uses and nobody has used for a while."""
        host = self._hypervisor
        used = {instance.image_ref for instance in all_instances}
        oldest_s = host.clock.now() - self.options.image_cache.remove_unused_original_minimum_age_seconds
        cached = list(host.cached_images.items())
        host.drop_images([image for image, used_s in cached if image not in used and used_s <= oldest_s])


def _snapshot_metadata(instance: Any, name: str) -> dict[str, Any]:
    """Return the image's description, with the properties that nova's libvirt driver sets."""
    image_meta = instance.image_meta
    properties = {
        "kernel_id": instance.kernel_id,
        "ramdisk_id": instance.ramdisk_id,
        "image_location": "snapshot",
        "image_state": "available",
        "owner_id": instance.project_id,
    }
    if instance.os_type:
        properties["os_type"] = instance.os_type
    container_format = image_meta.container_format if image_meta.obj_attr_is_set("container_format") else "bare"
    return {
        "name": name,
        "status": "active",
        "disk_format": DISK_FORMAT,
        "container_format": container_format,
        "properties": properties,
    }
