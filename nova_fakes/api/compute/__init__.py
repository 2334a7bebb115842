"""A compute service over a fleet: what Nova's API shows, for those who need it without a nova."""

from nova_fakes.api.compute.app import create_app
from nova_fakes.api.compute.service import ComputeService

__all__ = ["ComputeService", "create_app"]
