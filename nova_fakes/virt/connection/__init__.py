"""FakeConnection: the interface by which nova spoke to hypervisors in 2011, over the model of today.

Instances are given as that nova gave them: a mapping or an object with ``name`` and, where they are known, ``uuid``,
``vcpus``, ``memory_mb``, ``local_gb`` and so on; some methods take the name alone. Written after nova's page *Fake
Drivers* of 2011. Where that fake did nothing, this one does what the method's name says.
"""

from nova_fakes.virt.connection.instances import FakeInstance, InstanceInfo
from nova_fakes.virt.connection.process import FakeConnection, get_connection

__all__ = ["FakeConnection", "FakeInstance", "InstanceInfo", "get_connection"]
