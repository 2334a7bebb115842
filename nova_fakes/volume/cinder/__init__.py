"""A volume driver for Cinder over a store of volumes.

::

    [fake]
    volume_driver = nova_fakes.volume.cinder.NovaFakesDriver
    volume_backend_name = fake
    nova_fakes_pools = fast:100,slow

Cinder keeps the records; the driver has the bytes. The protocol `local` hands out sparse files, which os-brick opens on
the same machine, so that images, backups and host-assisted migrations carry real bytes.
"""

from __future__ import annotations

from cinder import interface

from nova_fakes.volume.cinder.connections import ConnectionMethods
from nova_fakes.volume.cinder.groups import GroupMethods
from nova_fakes.volume.cinder.images import ImageMethods
from nova_fakes.volume.cinder.moves import MoveMethods
from nova_fakes.volume.cinder.volumes import VolumeMethods

__all__ = ["NovaFakesDriver"]


@interface.volumedriver
class NovaFakesDriver(VolumeMethods, ConnectionMethods, ImageMethods, MoveMethods, GroupMethods):
    """Volumes that hold bytes, without a storage system.

    A replicated volume has its bytes on every site at any moment. While the backend is failed over, volumes that are
    not replicated are out of reach.
    """
