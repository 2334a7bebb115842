"""The driver's methods about the power state of instances."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from nova import exception

from nova_fakes.virt.driver.lifecycle import LifecycleMethods
from nova_fakes.virt.driver.reading import volumes_from
from nova_fakes.virt.driver.translation import failing_with, translated
from nova_fakes.virt.guest import State

__all__ = ["PowerMethods"]

LOG = logging.getLogger(__name__)


class PowerMethods(LifecycleMethods):
    """Power, reboot, pause, suspend, rescue, and what the guest's agent does."""

    @translated(failing_with(exception.InstancePowerOffFailure))
    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        """Shut the guest down; it does not need to be asked twice."""
        self._hypervisor.change(instance.uuid, "power_off")

    @translated(failing_with(exception.InstancePowerOnFailure))
    def power_on(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Boot the guest."""
        self._boot(instance, "power_on", network_info, block_device_info)
        for share in share_info or ():
            share.activate()
        if share_info:
            self._tell_of_devices(context, instance)

    def _boot(
        self, instance: Any, operation: str, network_info: Any, block_device_info: Any, *, waits: bool = True
    ) -> None:
        host = self._hypervisor
        nics = self._nics(network_info) if network_info is not None else None
        known = nics if nics is not None else {}
        host.boot(
            instance.uuid,
            operation,
            nics,
            volumes_from(block_device_info) if block_device_info else None,
            self._plugging(instance, known) if known and waits else None,
        )

    @translated(failing_with(exception.InstanceRebootFailure))
    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: str,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Reboot the guest: hard where it does not run, and then whatever is missing of it is made."""
        guest = self._hypervisor.guests.get(instance.uuid)
        if reboot_type.upper() == "SOFT" and guest is not None and guest.state is State.RUNNING:
            self._hypervisor.change(instance.uuid, "soft_reboot")
        elif guest is None and reboot_type.upper() == "HARD":
            self.spawn(context, instance, None, None, None, None, network_info, block_device_info)
        else:
            self._boot(instance, "hard_reboot", network_info, block_device_info)
        for share in share_info or ():
            share.activate()
        if share_info:
            self._tell_of_devices(context, instance)

    @translated()
    def poll_rebooting_instances(self, timeout: int, instances: Iterable[Any]) -> None:
        """Reboot hard what has been rebooting for too long."""
        for instance in instances:
            LOG.info("Instance %s has been rebooting for more than %s s: rebooting it hard", instance.uuid, timeout)
            self._hypervisor.boot(instance.uuid, "hard_reboot")

    @translated()
    def pause(self, instance: Any) -> None:
        """Let the guest stand still."""
        self._hypervisor.change(instance.uuid, "pause")

    @translated()
    def unpause(self, instance: Any) -> None:
        """Let the guest go on."""
        self._hypervisor.change(instance.uuid, "unpause")

    @translated(failing_with(exception.InstanceSuspendFailure))
    def suspend(self, context: Any, instance: Any) -> None:
        """Put the guest to disk."""
        self._hypervisor.change(instance.uuid, "suspend")

    @translated(failing_with(exception.InstanceResumeFailure))
    def resume(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Bring the guest back from disk."""
        self._boot(instance, "resume", network_info, block_device_info)

    @translated(failing_with(exception.InstanceRebootFailure))
    def resume_state_on_host_boot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        share_info: Any,
        block_device_info: Any = None,
    ) -> None:
        """Boot a guest that ran before the host went down; one that is alive is left alone."""
        guest = self._hypervisor.guests.get(instance.uuid)
        if guest is not None and guest.state in (State.RUNNING, State.PAUSED, State.SUSPENDED):
            return
        if guest is None:
            self.reboot(context, instance, network_info, "HARD", block_device_info)
        else:
            # The nova-compute that is starting hears no events yet; libvirt's driver does not wait here either.
            self._boot(instance, "hard_reboot", network_info, block_device_info, waits=False)

    @translated(failing_with(exception.InstanceRescueFailure))
    def rescue(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        image_meta: Any,
        rescue_password: Any,
        block_device_info: Any,
        share_info: Any,
    ) -> None:
        """Boot the guest from the rescue image."""
        image = getattr(image_meta, "id", None) or getattr(instance, "image_ref", None) or "rescue"
        self._hypervisor.rescue(instance.uuid, image, rescue_password)

    @translated(failing_with(exception.InstanceUnRescueFailure))
    def unrescue(self, context: Any, instance: Any) -> None:
        """Boot the guest from its own disk again."""
        self._hypervisor.unrescue(instance.uuid)

    @translated()
    def trigger_crash_dump(self, instance: Any) -> None:
        """Send the guest the interrupt on which its kernel panics."""
        self._hypervisor.change(instance.uuid, "crash")

    @translated(failing_with(exception.InstancePasswordSetFailed))
    def set_admin_password(self, instance: Any, new_pass: str) -> None:
        """Change the administrator's password in the running guest."""
        self._hypervisor.set_password(instance.uuid, new_pass)

    @translated(failing_with(exception.InstanceQuiesceFailed))
    def quiesce(self, context: Any, instance: Any, image_meta: Any) -> None:
        """Stop the guest's writing.

        :raises InstanceQuiesceNotSupported: the image says of no agent that could
        """
        self._need_agent(instance, image_meta)
        self._hypervisor.quiesce(instance.uuid, True)

    @translated(failing_with(exception.InstanceQuiesceFailed))
    def unquiesce(self, context: Any, instance: Any, image_meta: Any) -> None:
        """Let the guest write again.

        :raises InstanceQuiesceNotSupported: the image says of no agent that could
        """
        self._need_agent(instance, image_meta)
        self._hypervisor.quiesce(instance.uuid, False)

    @staticmethod
    def _need_agent(instance: Any, image_meta: Any) -> None:
        if not image_meta.properties.get("hw_qemu_guest_agent", False):
            raise exception.InstanceQuiesceNotSupported(instance_id=instance.uuid)
