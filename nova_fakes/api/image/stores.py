"""Where images' bytes are kept: one store, or several by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nova_fakes.api.image.content import BLOCK_BYTES, Content
from nova_fakes.exceptions import ApiError

__all__ = ["Stores"]


class Stores:
    """Directories by the stores' names.

    Args:
        directory: of the first store; the others are within it, as `store-NAME`.
        size_limit_bytes: what an image may have at most; None for no limit.
        names: of the stores, the default one first; () for a single one without a name.
    """

    def __init__(self, directory: Path, size_limit_bytes: int | None, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._contents = {
            name: Content(directory / f"store-{name}" if index else directory, size_limit_bytes)
            for index, name in enumerate(names or ("",))
        }

    @property
    def default(self) -> str:
        """Name of the store that takes what names none; "" if it has no name."""
        return next(iter(self._contents))

    def content(self, name: str) -> Content:
        """Return what is in a store; ApiError 400, there is none of that name."""
        try:
            return self._contents[name]
        except KeyError:
            raise ApiError(400, f"Unknown scheme '{name}' found in URI") from None

    def holding(self, names: Sequence[str]) -> Content:
        """Return what is in the first of the stores that an image is in."""
        return self._contents[names[0] if names else self.default]

    def delete(self, image_id: str) -> None:
        """Remove an image's bytes from every store."""
        for content in self._contents.values():
            content.delete(image_id)

    def show(self, *, detail: bool = False) -> list[dict[str, Any]]:
        """Return the stores as the API lists them; `detail` is what administrators see.

        Raises:
            ApiError: 404, the only store has no name.
        """
        if not self.names:
            raise ApiError(404, "Multi backend is not supported at this site.")
        return [
            {
                "id": name,
                "description": f"Files of the store {name}",
                **({"default": "true"} if name == self.default else {}),
                **(self._details(name) if detail else {}),
            }
            for name in self.names
        ]

    def _details(self, name: str) -> dict[str, Any]:
        properties = {
            "data_dir": str(self._contents[name].directory),
            "chunk_size": BLOCK_BYTES,
            "thin_provisioning": False,
        }
        return {"type": "file", "weight": 0, "properties": properties}
