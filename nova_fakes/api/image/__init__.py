"""Image API v2, as Glance serves it: images' descriptions, and their bytes in a directory."""

from nova_fakes.api.image.app import create_app
from nova_fakes.api.image.service import ImageService

__all__ = ["ImageService", "create_app"]
