"""What `ldap.resiter` has: answers one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["ResultProcessor"]


class ResultProcessor:
    """To be mixed into a class of connections."""

    def allresults(self, msgid: int, timeout: float = -1, add_ctrls: int = 0) -> Iterator[tuple[Any, Any, Any, Any]]:
        """Give the answers to a request as they come: kind, what it lists, number, controls."""
        connection: Any = self
        while True:
            found = connection.result4(msgid, 0, timeout, add_ctrls=add_ctrls)[:4]
            if not found[0] or not found[1]:
                return
            yield found
