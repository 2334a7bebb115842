"""What a volume takes from an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.refusals import invalid_input
from nova_fakes.exceptions import ApiError

__all__ = ["ImageSink", "ImageSource", "check_fits", "find", "metadata", "properties"]

# Looks an image up for whoever bears the token, by id or by name: the image as the image API v2 shows it (one flat
# object), or None if there is none or it is hidden from him.
ImageSource = Callable[[str, Token], Mapping[str, Any] | None]


class ImageSink(Protocol):
    """Who takes images that are made of volumes; the image fake does (`nova_fakes.api.image.ImageService`)."""

    def create(self, token: Token, values: Mapping[str, Any]) -> Any:
        """Register an image, which has an `id`; ApiError as the image service refuses it."""

    def upload(self, token: Token, image_id: str, blocks: Iterable[bytes]) -> None:
        """Take its bytes."""

    def delete(self, token: Token, image_id: str) -> None:
        """Forget it."""


GIB = 1024**3
# Kept under their own names; with them go all further properties (cinder.volume.volume_utils, IMAGE_ATTRIBUTES).
ATTRIBUTES = ("checksum", "container_format", "disk_format", "min_disk", "min_ram", "size")
# What the image service says of every image and Cinder does not count among its properties.
NO_PROPERTIES = frozenset(
    {
        *ATTRIBUTES,
        "created_at",
        "direct_url",
        "file",
        "id",
        "locations",
        "name",
        "os_hash_algo",
        "os_hash_value",
        "os_hidden",
        "owner",
        "protected",
        "schema",
        "self",
        "status",
        "stores",
        "tags",
        "updated_at",
        "virtual_size",
        "visibility",
    }
)


def find(source: ImageSource | None, reference: str, token: Token) -> Mapping[str, Any]:
    """Return the image that a request names by id, by URL or by name.

    Raises:
        ApiError: 400, there is none that the token's bearer may use.
    """
    image = source(reference.rsplit("/", 1)[-1], token) if source is not None and reference else None
    if image is None:
        raise ApiError(400, "Invalid image identifier or unable to access requested image.")
    return image


def check_fits(image: Mapping[str, Any], size_gb: int) -> None:
    """Refuse an image that cannot be used, or not by a volume of that size.

    Raises:
        ApiError: 400, the image is not active, or it or its min_disk is larger than the volume.
    """
    if image.get("status") != "active":
        raise invalid_input(f"Image {image['id']} is not active.")
    image_gb = -(-int(image.get("size") or 0) // GIB)
    if image_gb > size_gb:
        raise invalid_input(f"Size of specified image {image_gb}GB is larger than volume size {size_gb}GB.")
    min_disk_gb = int(image.get("min_disk") or 0)
    if size_gb < min_disk_gb:
        raise invalid_input(f"Volume size {size_gb}GB cannot be smaller than the image minDisk size {min_disk_gb}GB.")


def properties(image_metadata: Mapping[str, str]) -> dict[str, str]:
    """Return what of a volume's image metadata goes along when it becomes an image itself."""
    gone = {*NO_PROPERTIES, "image_id", "image_name"}
    return {key: value for key, value in image_metadata.items() if key not in gone}


def metadata(image: Mapping[str, Any]) -> dict[str, str]:
    """Return what a volume made from the image keeps of it (`volume_image_metadata`): strings all."""
    kept = {key: value for key, value in image.items() if key not in NO_PROPERTIES and value is not None}
    kept["image_id"] = image["id"]
    if image.get("name"):
        kept["image_name"] = image["name"]
    kept |= {key: image[key] for key in ATTRIBUTES if image.get(key) is not None}
    return {key: str(value) for key, value in kept.items()}
