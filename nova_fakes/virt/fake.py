"""nova's driver over a hypervisor of the model: it translates and delegates.

Written against ``nova/virt/driver.py`` of nova 34.0.0. What a method returns and raises is what
``nova/compute/manager.py`` expects of it; where the two leave room, ``nova/virt/libvirt/driver.py`` decides.

Methods that are not here keep nova's own answer, because it is the right one for this hypervisor: ``rebuild``,
``soft_delete`` and ``restore`` are then composed by the compute manager of power_off, destroy, spawn and power_on;
device names are given by nova; assisted volume snapshots and ``power_update_event`` are refused.
"""

from __future__ import annotations

from nova_fakes.virt.driver.cold_migration import ColdMigrationMethods
from nova_fakes.virt.driver.devices import DeviceMethods
from nova_fakes.virt.driver.host import HostMethods
from nova_fakes.virt.driver.images import ImageMethods
from nova_fakes.virt.driver.lifecycle import LifecycleMethods
from nova_fakes.virt.driver.live_migration import LiveMigrationMethods
from nova_fakes.virt.driver.power import PowerMethods
from nova_fakes.virt.driver.sights import SightMethods

__all__ = ["FakeDriver"]


class FakeDriver(
    HostMethods,
    PowerMethods,
    LifecycleMethods,
    DeviceMethods,
    ImageMethods,
    SightMethods,
    ColdMigrationMethods,
    LiveMigrationMethods,
):
    """nova's face of one hypervisor, whole.

    Made inside :meth:`Fleet.activate` it joins that fleet, as the host that nova gives it in :meth:`init_host`; else it
    makes a fleet of one host from nova.conf's ``[nova_fakes]``.

    :param virtapi: nova's, by which the driver waits for events
    :param read_only: accepted as nova's drivers accept it; nova never passes it
    :raises SignatureMismatch: the installed nova calls the methods otherwise; names them
    """
