"""Make ``compute_driver = nova_fakes.FakeDriver`` work with the stock nova-compute.

``nova.virt.driver.load_compute_driver`` imports ``nova.virt.<compute_driver>`` and nothing else, so the wheel of
nova-fakes installs this module as ``nova/virt/nova_fakes.py``.
"""

from nova_fakes.virt.fake import FakeDriver

__all__ = ["FakeDriver"]
