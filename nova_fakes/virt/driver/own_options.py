"""nova.conf as one driver sees it where several of a process have options of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["OwnOptions"]


class OwnOptions:
    """The process's options, but for some that are one driver's own.

    Args:
        options: nova's CONF, or a group of it.
        own: the driver's values by (group, name); the group is "" for those of none.
    """

    def __init__(self, options: Any, own: Mapping[tuple[str, str], Any]) -> None:
        self._options = options
        self._own = dict(own)

    def __getattr__(self, name: str) -> Any:
        """Return an option, or a group of them."""
        if ("", name) in self._own:
            return self._own["", name]
        group = {("", option): value for (section, option), value in self._own.items() if section == name}
        found = getattr(self._options, name)
        return OwnOptions(found, group) if group else found

    def __contains__(self, name: str) -> bool:
        """Tell whether there is such an option or group."""
        return name in self._options
