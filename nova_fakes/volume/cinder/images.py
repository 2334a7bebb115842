"""The driver's methods about images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cinder import exception

from nova_fakes.temporary import TemporaryDirectory
from nova_fakes.volume import errors
from nova_fakes.volume.cinder.base import StoreDriver, translated
from nova_fakes.volume.medium import CHUNK_BYTES

__all__ = ["ImageMethods"]


class ImageMethods(StoreDriver):
    """Images into volumes, and volumes into images, with every byte."""

    @translated
    def copy_image_to_volume(
        self, context: Any, volume: Any, image_service: Any, image_id: str, disable_sparse: bool = False
    ) -> None:
        """Put an image on a volume.

        :raises ImageUnacceptable: it is not what it is said to be, or too large
        """
        image_format = image_service.show(context, image_id)["disk_format"]
        with tempfile.TemporaryFile(prefix="nova-fakes-image-") as file:
            image_service.download(context, image_id, file)
            file.seek(0)
            try:
                self.store.load_image(volume.name_id, _pieces(file), image_format)
            except errors.ImageUnreadable as error:
                raise exception.ImageUnacceptable(image_id=image_id, reason=str(error)) from error

    @translated
    def copy_volume_to_image(self, context: Any, volume: Any, image_service: Any, image_meta: Any) -> None:
        """Make a volume's content, as it is at this moment, an image's."""
        with TemporaryDirectory.of_kind("images") as directory:
            path = Path(directory, "image")
            try:
                self.store.save_image(volume.name_id, path, image_meta["disk_format"])
            except errors.ImageUnreadable as error:
                raise exception.ImageUnacceptable(image_id=image_meta["id"], reason=str(error)) from error
            with path.open("rb") as file:
                image_service.update(context, image_meta["id"], {}, file)

    @translated
    def clone_image(
        self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any
    ) -> tuple[dict[str, Any] | None, bool]:
        """Make a volume by cloning the one in which a raw image lies, where it lies in one of this store.

        :returns: what changes of the volume's record, and whether it was done
        """
        direct, locations = image_location if image_location else (None, None)
        urls = [direct, *((one or {}).get("url") for one in locations or [])]
        for url in urls:
            origin = str(url or "").removeprefix("cinder://").rpartition("/")[2]
            if (
                str(url).startswith("cinder://")
                and image_meta.get("disk_format") == "raw"
                and origin in self.store.volumes
            ):
                self.create_cloned_volume(volume, _Origin(origin))
                return {}, True
        return None, False


class _Origin:
    """A volume of which nothing but the id is known."""

    def __init__(self, name_id: str) -> None:
        self.name_id = name_id


def _pieces(file: Any) -> Iterator[bytes]:
    while piece := file.read(CHUNK_BYTES):
        yield piece
