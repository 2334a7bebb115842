"""nova-computes of one process, each of which detaches volumes as the nova-compute of its own host.

nova compares the host of an instance with ``CONF.host`` before it lets the driver detach a volume
(nova/virt/block_device.py: DriverVolumeBlockDevice). In one process that is one name for all of them, and no driver
would ever hear of it.
"""

from __future__ import annotations

import threading
from typing import Any

from nova.virt import block_device

from nova_fakes.virt.fake import FakeDriver

__all__ = ["install"]


class _HostConf:
    """nova's configuration, with the name of the host whose driver is at work in this thread.

    :param conf: nova's
    """

    def __init__(self, conf: Any) -> None:
        self._conf = conf
        self.working = threading.local()

    def __getattr__(self, name: str) -> Any:
        host = getattr(self.working, "host", None) if name == "host" else None
        return getattr(self._conf, name) if host is None else host


def install() -> None:
    """Let nova detach volumes so from now on; twice is once."""
    if isinstance(block_device.CONF, _HostConf):
        return
    conf = block_device.CONF = _HostConf(block_device.CONF)
    detach = block_device.DriverVolumeBlockDevice._do_detach

    def detach_there(self: Any, context: Any, instance: Any, volume_api: Any, virt_driver: Any, *args: Any) -> Any:
        conf.working.host = virt_driver.hypervisor.name if isinstance(virt_driver, FakeDriver) else None
        try:
            return detach(self, context, instance, volume_api, virt_driver, *args)
        finally:
            conf.working.host = None

    block_device.DriverVolumeBlockDevice._do_detach = detach_there
