"""What a first `openstack server create` needs: an image and a shared network with both IP versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nova_fakes.api.auth import Token
from nova_fakes.clock import Clock

if TYPE_CHECKING:
    from nova_fakes.api.identity import IdentityService
    from nova_fakes.api.image import ImageService
    from nova_fakes.api.network import NetworkService

__all__ = ["IMAGE_NAME", "NETWORK_NAME", "administrator", "seed_image", "seed_network"]

IMAGE_NAME = "nova-fakes"
IMAGE_BYTES = 65536
NETWORK_NAME = "private"
NETWORK_SUBNETS = {4: "10.0.0.0/22", 6: "fd00:6e6f:7661::/64"}
LIFETIME_S = 60.0


def administrator(identity: IdentityService | None, clock: Clock) -> Token:
    """Return a token of the administrator's that no client knows: for what is done on nobody's behalf.

    Args:
        identity: who knows the administrator; None where everybody is who he says he is.
        clock: dates the token.
    """
    project = identity["projects"].find("default", "admin") if identity is not None else None
    user = identity["users"].find("default", "admin") if identity is not None else None
    now = clock.now()
    return Token(
        id="",
        user_id=user["id"] if user else "admin",
        user_name="admin",
        project_id=project["id"] if project else "admin",
        project_name="admin",
        domain_id="default",
        roles=("admin",),
        issued_at=now,
        expires_at=now + LIFETIME_S,
    )


def seed_image(image: ImageService, admin: Token) -> None:
    """Register a small public image, with bytes."""
    values = {"name": IMAGE_NAME, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    made = image.create(admin, values)
    image.upload(admin, made.id, [bytes(IMAGE_BYTES)], IMAGE_BYTES)


def seed_network(network: NetworkService, admin: Token) -> None:
    """Make a shared network with an IPv4 and an IPv6 subnet."""
    from nova_fakes.api.network.caller import Caller

    caller = Caller.from_token(admin)
    made = network.networks.create(caller, {"name": NETWORK_NAME, "shared": True})
    for version, cidr in NETWORK_SUBNETS.items():
        name = f"{NETWORK_NAME}-v{version}"
        network.subnets.create(caller, {"name": name, "network_id": made["id"], "ip_version": version, "cidr": cidr})
