"""nova's exceptions for those of the model."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from nova import exception

from nova_fakes import exceptions
from nova_fakes.faults import named_error

__all__ = [
    "attach_interface_failure",
    "detach_interface_failure",
    "failing_with",
    "nova_error",
    "plug_failure",
    "spawn_failure",
    "to_nova",
    "translated",
]

LOG = logging.getLogger(__name__)

Method = TypeVar("Method", bound=Callable[..., Any])
Failure = Callable[[str, str], Exception]


def to_nova(error: exceptions.NovaFakesError, uuid: str, failure: Failure | None) -> Exception:
    """Return nova's exception for one of the model's.

    :param failure: makes the exception that the operation documents for its failing
    """
    reason = str(error)
    match error:
        case exceptions.GuestNotFound():
            return cast(Exception, exception.InstanceNotFound(instance_id=uuid))
        case exceptions.HostDown():
            return cast(Exception, exception.HypervisorUnavailable(reason))
        case exceptions.GuestExists():
            return cast(Exception, exception.InstanceExists(name=uuid))
        case exceptions.InsufficientCapacity():
            return cast(Exception, exception.ComputeResourcesUnavailable(reason=reason))
        case exceptions.VIFTypeRefused():  # what nova's own VIF driver raises (nova/virt/libvirt/vif.py)
            return plug_failure(uuid, reason)
    if failure is not None:
        return failure(uuid, reason)
    match error:
        case exceptions.InvalidTransition():
            return cast(Exception, exception.Invalid(reason))
        case exceptions.DeviceNotFound():
            return cast(Exception, exception.DiskNotFound(reason))
        case exceptions.DeviceInUse():
            return cast(Exception, exception.DevicePathInUse(reason))
        case exceptions.RealizerError():
            return plug_failure(uuid, reason)
        case exceptions.MigrationNotFound() | exceptions.MigrationAborted():
            return cast(Exception, exception.MigrationError(reason=reason))
    return cast(Exception, exception.NovaException(reason))


def translated(failure: Failure | None = None) -> Callable[[Method], Method]:
    """Let a method raise nova's exceptions instead of the model's."""

    def decorate(method: Method) -> Method:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def translated(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except exceptions.NovaFakesError as error:
                instance = signature.bind(*args, **kwargs).arguments.get("instance")
                raise to_nova(error, getattr(instance, "uuid", ""), failure) from error

        # Whoever compares signatures, nova's tests among them, does not look through a decorator by itself.
        translated.__signature__ = signature  # type: ignore[attr-defined]
        return cast(Method, translated)

    return decorate


def nova_error(name: str, message: str) -> BaseException | None:
    """Make the exception that a fault rule names: one of nova's, nova-fakes' own or Python's; None: there is none."""
    found = getattr(exception, name, None)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return named_error(name, message)
    try:
        # By its name, since most of them make their text of other values.
        values = {"message": message} if issubclass(found, exception.NovaException) else {}
        return found(**values) if values else found(message)
    except TypeError:
        return None


def spawn_failure(uuid: str, reason: str) -> Exception:
    """Return what a failed spawn raises."""
    return cast(Exception, exception.InstanceDeployFailure(reason=reason))


def plug_failure(uuid: str, reason: str) -> Exception:
    """Return what a failed plug raises: nova-compute, as it starts, goes on with the other instances after it."""
    return cast(Exception, exception.VirtualInterfacePlugException(reason))


def attach_interface_failure(uuid: str, reason: str) -> Exception:
    """Return what a failed attach_interface raises; its reason does not reach nova's own log."""
    LOG.error("Attaching an interface to instance %s failed: %s", uuid, reason)
    return cast(Exception, exception.InterfaceAttachFailed(reason, instance_uuid=uuid))


def detach_interface_failure(uuid: str, reason: str) -> Exception:
    """Return what a failed detach_interface raises."""
    return cast(Exception, exception.InterfaceDetachFailed(reason, instance_uuid=uuid))


def failing_with(cls: Any) -> Failure:
    """Return a maker of an exception that takes the reason alone."""

    def make(uuid: str, reason: str) -> Exception:
        return cast(Exception, cls(reason=reason))

    return make
