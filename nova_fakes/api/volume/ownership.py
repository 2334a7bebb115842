"""Whose records are whose: a project sees its own, an administrator everybody's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.refusals import not_found

__all__ = ["find_own", "newest_own"]


class Owned(Protocol):
    """A project's record."""

    project_id: str


T = TypeVar("T", bound=Owned)


def find_own(token: Token, records: Mapping[str, T], kind: str, identifier: str) -> T:
    """Return a record.

    Raises:
        ApiError: 404, there is none, or it is another project's.
    """
    found = records.get(identifier)
    if found is None or not (token.is_admin or found.project_id == token.project_id):
        raise not_found(kind, identifier)
    return found


def newest_own(token: Token, records: Iterable[T], *, all_projects: bool) -> list[T]:
    """Return the project's of some records, the last first; every project's if an administrator asks for that."""
    everywhere = all_projects and token.is_admin
    return [one for one in records if everywhere or one.project_id == token.project_id][::-1]
