"""VIF realizers by name.

A package offers a realizer through the entry point group ``nova_fakes.vif_realizers``; the entry point names a
callable that takes keyword options and returns a `Realizer`. Where that callable has an attribute `make_fabric`, the
realizers of several hosts in one process can share what it makes.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Protocol

from nova_fakes.exceptions import InvalidInput, RealizerError, UnknownRealizer
from nova_fakes.virt.vif.base import Realizer
from nova_fakes.virt.vif.ledger import Ledger

__all__ = ["GROUP", "SharedFabric", "check_options", "fabric", "load", "names"]

GROUP = "nova_fakes.vif_realizers"


def names() -> tuple[str, ...]:
    """Return the names of the installed realizers, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


class SharedFabric(Protocol):
    """What the realizers of several hosts share; each gets it as its option ``fabric``."""

    def together(self, calls: Sequence[Callable[[], object]]) -> list[object]:
        """Make several calls of the realizers in one go: what each returned, or the exception that it raised.

        A fabric that would wait for more to come has an attribute ``gather_s``, seconds.
        """

    def close(self, *, keep: bool = False) -> None:
        """Give everything up; where `keep`, leave the instances' interfaces for a fabric to come on the same ledger."""


def load(name: str, **options: object) -> Realizer:
    """Make the realizer of that name.

    :param options: handed to the realizer as they are: ``host``, and for those with real interfaces ``fabric``
    :raises UnknownRealizer: no installed package offers it; the message lists those there are
    :raises InvalidInput: it does not take one of the options
    :raises RealizerError: the package that offers it cannot be imported
    """
    check_options(name, **options)
    realizer: Realizer = _factory(name)(**options)
    return realizer


def check_options(name: str, **options: object) -> None:
    """Refuse options that the realizer of that name does not take.

    :raises UnknownRealizer: no installed package offers it
    :raises InvalidInput: one of them is unknown; the message lists those there are
    """
    parameters = signature(_factory(name)).parameters
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    if unknown := sorted(options.keys() - parameters.keys()):
        known = ", ".join(option for option in parameters if option not in ("host", "fabric"))
        raise InvalidInput(f"option of the VIF realizer {name}", ", ".join(unknown), f"it takes {known or 'none'}")


def fabric(
    name: str, ledger: Ledger, *, directory: Path | None = None, namespace: str | None = None, **options: object
) -> SharedFabric | None:
    """Make what the realizers of that name share; None where each is on its own.

    :param ledger: where what it makes is written down first
    :param directory: where namespaces get their names, ``/run/netns`` where None
    :param namespace: the name of a namespace for the hosts' side of it all; None: the process's own
    :param options: those of the realizer; `make_fabric` gets the ones that it takes
    :raises UnknownRealizer: no installed package offers it
    :raises RealizerError: it cannot be made here
    """
    make = getattr(_factory(name), "make_fabric", None)
    if make is None:
        return None
    taken = {key: value for key, value in options.items() if key in signature(make).parameters}
    made: SharedFabric = make(ledger, directory, namespace, **taken)
    return made


def _factory(name: str) -> Any:
    for entry in entry_points(group=GROUP, name=name):
        try:
            return entry.load()
        except (ImportError, AttributeError) as error:
            raise RealizerError(
                f"the VIF realizer {name!r} ({entry.value}) cannot be imported: {error}; reinstall its package"
            ) from error
    raise UnknownRealizer("vif_realizer", name, f"use one of {', '.join(names())}")
