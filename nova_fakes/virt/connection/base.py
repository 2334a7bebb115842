"""What every part of the connection stands on: its host, guests by name, nova's exceptions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from nova import exception

from nova_fakes import exceptions
from nova_fakes.virt.connection.instances import name_of
from nova_fakes.virt.driver.translation import to_nova
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import Guest
from nova_fakes.virt.hypervisor import Hypervisor

__all__ = ["Connected", "done", "with_novas_exceptions"]

Method = TypeVar("Method", bound=Callable[..., Any])


def with_novas_exceptions(method: Method) -> Method:
    """Let a method raise nova's exceptions."""

    @functools.wraps(method)
    def translated(self: Connected, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except exceptions.DeviceNotFound as error:
            raise exception.NotFound(str(error)) from error
        except exceptions.NovaFakesError as error:
            raise to_nova(error, str(args[0]) if args else "", None) from error

    return cast(Method, translated)


class Connected:
    """A face of one host whose guests have names.

    :param hypervisor: the host, in a fleet; None: one of its own, until `init_host` named ``localhost``
    """

    def __init__(self, hypervisor: Hypervisor | None = None) -> None:
        self._hypervisor = hypervisor or Fleet().add(Hypervisor("localhost"))
        self._filtered: set[str] = set()

    @property
    def hypervisor(self) -> Hypervisor:
        """The host."""
        return self._hypervisor

    @property
    def _fleet(self) -> Fleet:
        fleet = self._hypervisor.fleet
        if fleet is None:
            raise exceptions.InvalidInput("hypervisor", self._hypervisor, "add it to a fleet first (Fleet.add)")
        return fleet

    def _find(self, instance: Any) -> Guest:
        name = name_of(instance)
        for guest in list(self._hypervisor.guests.values()):
            if guest.name == name:
                return guest
        self._hypervisor.check("find")
        raise exceptions.GuestNotFound(f"there is no instance {name} on host {self._hypervisor.name}")

    def _record(self, uuid: str | None, operation: str, **details: Any) -> None:
        host = self._hypervisor
        host.journal.record(host.clock.now(), host.name, uuid, operation, details=details)


def done(result: Any = None) -> Future[Any]:
    """Return the task of something that is complete."""
    task: Future[Any] = Future()
    task.set_result(result)
    return task
