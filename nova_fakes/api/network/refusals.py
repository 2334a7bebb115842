"""The errors that the network API answers with, as Neutron words them.

The body is `{"NeutronError": {"type": …, "message": …, "detail": ""}}`; clients choose their exception by the type,
so the types are Neutron's class names (`neutron_lib/exceptions`).
"""

from __future__ import annotations

from nova_fakes.exceptions import ApiError

__all__ = ["bad_request", "bad_resource", "conflict", "forbidden", "invalid_input", "not_found", "over_quota", "refuse"]


def refuse(status: int, kind: str, message: str) -> ApiError:
    """Return an error of any status and type."""
    return ApiError(status, message, kind=kind)


def bad_request(message: str, kind: str = "HTTPBadRequest") -> ApiError:
    """Return a 400 about the form of a request: unknown attributes, wrong types, read-only attributes."""
    return ApiError(400, message, kind=kind)


def invalid_input(message: str) -> ApiError:
    """Return a 400 about a value that is well formed and yet makes no sense."""
    return ApiError(400, f"Invalid input for operation: {message}.", kind="InvalidInput")


def bad_resource(resource: str, message: str) -> ApiError:
    """Return a 400 about a request that does not fit the `resource` it is made of."""
    return ApiError(400, f"Bad {resource} request: {message}.", kind="BadRequest")


def not_found(kind: str, message: str) -> ApiError:
    """Return a 404."""
    return ApiError(404, message, kind=kind)


def conflict(kind: str, message: str) -> ApiError:
    """Return a 409: the present state does not allow it."""
    return ApiError(409, message, kind=kind)


def over_quota(resource: str) -> ApiError:
    """Return the 409 of a project that has used up its quota of `resource`."""
    return conflict("OverQuota", f"Quota exceeded for resources: ['{resource}'].")


def forbidden(rule: str) -> ApiError:
    """Return the 403 of a caller who may see a resource but not do what `rule` ("update_network") protects."""
    return ApiError(403, f"rule:{rule} is disallowed by policy", kind="PolicyNotAuthorized")
