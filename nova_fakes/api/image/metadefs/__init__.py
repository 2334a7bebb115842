"""Definitions of metadata: namespaces of properties, objects and tags, and the types of resources that they are for."""

from nova_fakes.api.image.metadefs.catalog import Metadefs
from nova_fakes.api.image.metadefs.routes import add_metadefs

__all__ = ["Metadefs", "add_metadefs"]
