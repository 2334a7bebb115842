"""Imports: how an image gets its bytes from where they were staged, or from one store into others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nova_fakes.api.auth import Token
from nova_fakes.api.image.service import ImageService
from nova_fakes.exceptions import ApiError

__all__ = ["import_image", "methods"]

_ELSEWHERE: Final = ("web-download", "glance-download")


def methods(service: ImageService) -> list[str]:
    """Return the methods that there are; copies need somewhere to go."""
    return ["glance-direct", *(["copy-image"] if service.stores.names else [])]


def import_image(service: ImageService, token: Token, image_id: str, body: Mapping[str, Any]) -> None:
    """Do what an import request asks for, and keep a task of it.

    Args:
        service: the images.
        token: who asks.
        image_id: which image.
        body: "method" with its "name"; "stores", "all_stores" and "all_stores_must_succeed" where there are several.

    Raises:
        ApiError: 400, the method is none or fetches from elsewhere, or the image is there already; 403; 404; 409, the
            image's state does not allow it, or there is no such store.
    """
    method = body["method"].get("name")
    if method in _ELSEWHERE:
        raise ApiError(400, f"Import method '{method}' is not enabled: nothing is fetched from elsewhere here.")
    known = methods(service)
    if method not in known:
        raise ApiError(400, f"Unknown import method name '{method}'; there is {', '.join(known)}.")
    stores = _stores(service, body)
    if method == "glance-direct":
        service.require_staged(token, image_id)
        with service.tasks.running(token, image_id, body):
            service.import_staged(token, image_id, stores)
        return
    everywhere = body.get("all_stores") is True
    missing = service.without(token, image_id, stores)
    if not everywhere and len(missing) < len(stores):
        there = next(name for name in stores if name not in missing)
        raise ApiError(400, f"Image is already present at store '{there}'")
    if missing:
        with service.tasks.running(token, image_id, body):
            service.copy(token, image_id, missing)


def _stores(service: ImageService, body: Mapping[str, Any]) -> Sequence[str]:
    """Return the stores that a request names; ApiError 400, 409."""
    names, wanted = service.stores.names, body.get("stores")
    if not names and body.get("all_stores_must_succeed") is False:
        raise ApiError(400, "All_stores_must_succeed can only be set with enabled_backends None")
    if wanted is not None and (not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted)):
        raise ApiError(400, f"{wanted!r} is no list of stores.")
    if body.get("all_stores") is True:
        if wanted:
            raise ApiError(400, "All_stores parameter can't be used with x-image-meta-store header or stores parameter")
        return names
    for name in wanted or ():
        if name not in names:
            raise ApiError(409, f"Unknown scheme '{name}' found in URI")
    return tuple(dict.fromkeys(wanted or ())) or (service.stores.default,)
