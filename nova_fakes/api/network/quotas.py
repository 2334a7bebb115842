"""Limits on what a project may have, and how much it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.refusals import bad_request, not_found, refuse
from nova_fakes.api.network.state import DEFAULT_QUOTAS, State
from nova_fakes.api.network.table import Record

__all__ = ["Quotas"]

_LIMIT = values.integer(-1, 2**31 - 1)


class Quotas:
    """The quotas API.

    Args:
        state: the service's tables.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def list(self, caller: Caller) -> list[Record]:
        """Return the limits of all projects that have their own."""
        self._require_admin(caller)
        with self._state.lock:
            return [self._limits(project_id) for project_id in self._state.quotas]

    def get(self, caller: Caller, project_id: str) -> Record:
        """Return the limits of a project.

        Raises:
            ApiError: 403, it is not the caller's.
        """
        self._require(caller, project_id)
        with self._state.lock:
            return self._limits(project_id)

    def defaults(self, caller: Caller, project_id: str) -> Record:
        """Return the limits that hold for a project without its own."""
        self._require(caller, project_id)
        return {**self._state.default_quotas, "project_id": project_id, "tenant_id": project_id}

    def details(self, caller: Caller, project_id: str) -> dict[str, dict[str, int]]:
        """Return limit and use by resource."""
        self._require(caller, project_id)
        with self._state.lock:
            return {
                name: {
                    "limit": self._state.quota(project_id, name),
                    "used": self._state.usage(project_id, name),
                    "reserved": 0,
                }
                for name in DEFAULT_QUOTAS
            }

    def update(self, caller: Caller, project_id: str, body: Mapping[str, Any]) -> Record:
        """Set some limits of a project; -1 is none.

        Raises:
            ApiError: 403 not an administrator, 400 no such resource or no number; nothing was set.
        """
        self._require_admin(caller)
        body = {name: value for name, value in body.items() if name not in ("project_id", "tenant_id")}
        unknown = [name for name in body if name not in DEFAULT_QUOTAS]
        if unknown:
            raise bad_request(f"Unrecognized attribute(s) '{', '.join(sorted(unknown))}'")
        checked = {}
        for name, value in body.items():
            try:
                checked[name] = _LIMIT(value)
            except ValueError as error:
                raise bad_request(f"Invalid input for {name}. Reason: {error}.") from None
        with self._state.lock:
            self._state.quotas.setdefault(project_id, {}).update(checked)
            return self._limits(project_id)

    def delete(self, caller: Caller, project_id: str) -> None:
        """Give a project the default limits back.

        Raises:
            ApiError: 403 not an administrator, 404 it has none of its own.
        """
        self._require_admin(caller)
        with self._state.lock:
            if self._state.quotas.pop(project_id, None) is None:
                raise not_found("ProjectQuotaNotFound", f"Quota for project {project_id} could not be found.")

    def _limits(self, project_id: str) -> Record:
        limits = {name: self._state.quota(project_id, name) for name in DEFAULT_QUOTAS}
        return {**limits, "project_id": project_id, "tenant_id": project_id}

    def _require(self, caller: Caller, project_id: str) -> None:
        if not caller.owns(project_id):
            self._require_admin(caller)

    @staticmethod
    def _require_admin(caller: Caller) -> None:
        if not caller.is_privileged:
            reason = "Only admin is authorized to access quotas for another project"
            raise refuse(403, "AdminRequired", f"User does not have admin privileges: {reason}.")
