"""Identity API v3, as Keystone serves it: who may do what, and where the other services are."""

from nova_fakes.api.identity.app import create_app
from nova_fakes.api.identity.service import IdentityService

__all__ = ["IdentityService", "create_app"]
