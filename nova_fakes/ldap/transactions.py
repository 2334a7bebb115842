"""Changes that are made together or not at all (RFC 5805), as slapd does it: one such group at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = ["Failed", "Transaction"]

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Failed:
    """The request of a transaction that could not be done, and why."""

    number: int
    error: LdapError


class Transaction:
    """What waits on one connection to be done together."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._steps: list[tuple[int, Step]] | None = None

    def begin(self) -> None:
        """Begin to gather changes.

        :raises LdapError: BUSY where that has begun already
        """
        if self._steps is not None:
            raise LdapError(ResultCode.BUSY, "Too many transactions")
        self._steps = []

    def add(self, number: int, step: Step) -> None:
        """Note a change.

        :param number: of the message that asked for it
        :raises LdapError: TXN_ID_INVALID where nothing has begun
        """
        if self._steps is None:
            raise LdapError(ResultCode.TXN_ID_INVALID, "invalid transaction identifier")
        self._steps.append((number, step))

    def abort(self) -> None:
        """Forget the changes.

        :raises LdapError: TXN_ID_INVALID where nothing has begun
        """
        self._taken()

    def drop(self) -> None:
        """Forget the changes, where any have been gathered."""
        self._steps = None

    def _taken(self) -> list[tuple[int, Step]]:
        if self._steps is None:
            raise LdapError(ResultCode.TXN_ID_INVALID, "invalid transaction identifier")
        steps, self._steps = self._steps, None
        return steps

    def commit(self) -> Failed | None:
        """Make the changes; where one cannot be made, none is, and that one is returned.

        :raises LdapError: TXN_ID_INVALID where nothing has begun, OPERATIONS_ERROR where there is no change
        """
        steps = self._taken()
        if not steps:
            raise LdapError(ResultCode.OPERATIONS_ERROR, "no updates to commit")
        number = 0
        try:
            with self._directory.operations.atomic():
                for number, step in steps:  # noqa: B007
                    step()
        except LdapError as error:
            return Failed(number, error)
        return None
