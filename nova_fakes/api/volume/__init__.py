"""The volume API (Cinder v3): volumes, attachments, snapshots, types, quotas. Their bytes are not kept yet."""

from nova_fakes.api.volume.app import create_app
from nova_fakes.api.volume.service import VolumeService

__all__ = ["VolumeService", "create_app"]
