"""VIF realizers by name.

A package offers a realizer through the entry point group ``nova_fakes.vif_realizers``; the entry point names a
callable that takes keyword options and returns a `Realizer`.
"""

from importlib.metadata import entry_points

from nova_fakes.exceptions import RealizerError, UnknownRealizer
from nova_fakes.virt.vif.base import Realizer

__all__ = ["GROUP", "load", "names"]

GROUP = "nova_fakes.vif_realizers"


def names() -> tuple[str, ...]:
    """Return the names of the installed realizers, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load(name: str, **options: object) -> Realizer:
    """Make the realizer of that name.

    :param options: handed to the realizer as they are: ``host``, and for those with real interfaces ``fabric``
    :raises UnknownRealizer: no installed package offers it; the message lists those there are
    :raises RealizerError: the package that offers it cannot be imported
    """
    for entry in entry_points(group=GROUP, name=name):
        try:
            factory = entry.load()
        except (ImportError, AttributeError) as error:
            raise RealizerError(
                f"the VIF realizer {name!r} ({entry.value}) cannot be imported: {error}; reinstall its package"
            ) from error
        realizer: Realizer = factory(**options)
        return realizer
    raise UnknownRealizer("vif_realizer", name, f"use one of {', '.join(names())}")
