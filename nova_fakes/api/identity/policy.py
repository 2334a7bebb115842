"""Who may do what: the defaults of Keystone's policy as far as the API fakes offer the action.

An administrator may do everything. A reader on the system may look at everything. Anyone may look at himself, at the
project and the domain that his token is for, and at regions. Domain administrators are not told apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask

from nova_fakes.api.auth import Token, current_token
from nova_fakes.api.identity.collection import Row
from nova_fakes.exceptions import ApiError

if TYPE_CHECKING:
    from nova_fakes.api.identity.service import IdentityService

__all__ = ["Policy"]


class Policy:
    """Decide whether the present request may do what it asks for."""

    def __init__(self, service: IdentityService) -> None:
        self._service = service

    def require(
        self, action: str, *, reader: bool = False, owner_id: str | None = None, allowed: bool = False
    ) -> Token:
        """Return the request's token if it may do `action` ("list_users").

        Args:
            action: what it asks for, as Keystone's policy calls it.
            reader: whether readers on the system may do it.
            owner_id: the user who may do it as well.
            allowed: whether it may be done for another reason.

        Raises:
            ApiError: 403, it may not.
        """
        token = current_token()
        if token.is_admin or allowed or (owner_id is not None and token.user_id == owner_id):
            return token
        if reader and self._reads_system(token):
            return token
        raise ApiError(403, f"You are not authorized to perform the requested action: identity:{action}.")

    def require_list(self, plural: str) -> None:
        """Check a request for the list of all resources of a kind; ApiError 403 if it is refused."""
        self.require(f"list_{plural}", reader=True, allowed=plural == "regions")

    def require_get(self, plural: str, row_id: str, row: Row | None) -> None:
        """Check a request for one resource; ApiError 403 if it is refused.

        Args:
            plural: its kind ("projects").
            row_id: its id.
            row: the resource, None if it is not there; then only who could see it learns so.
        """
        token = current_token()
        allowed = plural == "regions"
        if row is not None:
            allowed = (
                allowed
                or (plural == "users" and row_id == token.user_id)
                or (plural == "projects" and row_id == token.project_id)
                or (plural == "domains" and row_id == token.domain_id)
            )
        self.require(f"get_{self._service[plural].singular}", reader=True, allowed=allowed)

    def token(self) -> Token:
        """Return the request's token."""
        return current_token()

    def sees_all(self) -> bool:
        """Tell whether the request is an administrator's, or a reader's of the system."""
        token = current_token()
        return token.is_admin or self._reads_system(token)

    def flag(self, name: str) -> bool:
        """Tell whether the request's query sets a flag ("nocatalog", with any value but 0 and false)."""
        value = flask.request.args.get(name)
        return value is not None and value.lower() not in ("0", "false")

    def _reads_system(self, token: Token) -> bool:
        if "reader" not in token.roles:
            return False
        record = self._service.record(token.id)
        return record is not None and record.scope.kind == "system"
