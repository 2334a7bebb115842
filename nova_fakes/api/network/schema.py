"""What a resource's attributes are: who may send them when, what they default to, what they are checked by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.refusals import bad_request, forbidden
from nova_fakes.api.network.table import Record
from nova_fakes.api.network.values import Check, anything, string

__all__ = ["REQUIRED", "UNSET", "Attribute", "Schema"]


class _Default(Enum):
    REQUIRED = "required"
    UNSET = "unset"


REQUIRED: Final = _Default.REQUIRED
"""Default of an attribute that a create request must bring."""
UNSET: Final = _Default.UNSET
"""Default of an attribute that is left to the service to choose."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a resource.

    Args:
        check: makes of the value sent the one kept, or raises ValueError.
        default: value on create if none is sent; `REQUIRED`, or `UNSET` for one that the service chooses.
        post: whether it may be sent on create.
        put: whether it may be sent on update.
        filters: whether lists can be filtered and sorted by it.
        guarded: whether only administrators and services may send it.
        hidden: whether only administrators and services get to see it.
    """

    check: Check = anything
    default: Any = UNSET
    post: bool = True
    put: bool = True
    filters: bool = True
    guarded: bool = False
    hidden: bool = False


READ_ONLY: Final = Attribute(post=False, put=False)

_OWNER: Final[Mapping[str, Attribute]] = {
    "project_id": Attribute(string(), put=False),
    "tenant_id": Attribute(string(), put=False),
}
_STANDARD: Final[Mapping[str, Attribute]] = {
    "id": READ_ONLY,
    "description": Attribute(lambda value: string()("" if value is None else value), default=""),
    "created_at": READ_ONLY,
    "updated_at": READ_ONLY,
    "revision_number": READ_ONLY,
    "tags": READ_ONLY,
}


class Schema:
    """The attributes of one kind of resource.

    Args:
        name: singular, as it wraps a body ("security_group").
        attributes: by name, beside the project, which all have.
        standard: whether it also has what nearly all have: id, description, times, revision and tags.
    """

    def __init__(self, name: str, attributes: Mapping[str, Attribute], *, standard: bool = True) -> None:
        self.name = name
        self.standard = standard
        self.attributes: dict[str, Attribute] = {**_OWNER, **(_STANDARD if standard else {}), **attributes}
        self.hidden = frozenset(key for key, attribute in self.attributes.items() if attribute.hidden)

    def for_create(self, caller: Caller, body: Mapping[str, Any]) -> Record:
        """Return the checked values of a create request, with defaults, and the project it is for.

        Raises:
            ApiError: 400 for unknown, read-only, missing or wrong attributes; 403 for guarded ones.
        """
        body = {**body, "project_id": self._project(caller, body)}
        body.pop("tenant_id", None)
        self._reject_unknown(body)
        values: Record = {}
        for name, attribute in self.attributes.items():
            if name in body:
                if not attribute.post:
                    raise bad_request(f"Attribute '{name}' not allowed in POST")
                self._guard(caller, "create", name, attribute)
                values[name] = self._checked(name, attribute, body[name])
            elif attribute.default is REQUIRED:
                raise bad_request(f"Failed to parse request. Required attribute '{name}' not specified")
            elif attribute.default is not UNSET:
                values[name] = attribute.default
        return values

    def for_update(self, caller: Caller, body: Mapping[str, Any], old: Record) -> Record:
        """Return the checked values of an update request; what it does not name is not in them.

        A guarded attribute may be sent back by anybody as it was.

        Raises:
            ApiError: 400 for unknown, read-only or wrong attributes; 403 for guarded ones.
        """
        self._reject_unknown(body)
        values: Record = {}
        for name, value in body.items():
            attribute = self.attributes[name]
            if not attribute.put:
                raise bad_request(f"Cannot update read-only attribute {name}")
            values[name] = self._checked(name, attribute, value)
            if attribute.guarded and (attribute.hidden or values[name] != old.get(name)):
                self._guard(caller, "update", name, attribute)
        return values

    def _project(self, caller: Caller, body: Mapping[str, Any]) -> str:
        given = {body[name] for name in ("project_id", "tenant_id") if name in body and isinstance(body[name], str)}
        if len(given) > 1:
            raise bad_request("'project_id' and 'tenant_id' do not match")
        project = given.pop() if given else caller.project_id
        if project is None:
            raise bad_request(f"Failed to parse request. Required attribute 'project_id' of {self.name} not specified")
        if not caller.owns(project):
            raise bad_request(
                "Specifying 'project_id' other than the authenticated project in request requires admin privileges"
            )
        return project

    def _reject_unknown(self, body: Mapping[str, Any]) -> None:
        unknown = [name for name in body if name not in self.attributes]
        if unknown:
            raise bad_request(f"Unrecognized attribute(s) '{', '.join(sorted(map(str, unknown)))}'")

    def _guard(self, caller: Caller, action: str, name: str, attribute: Attribute) -> None:
        if attribute.guarded and not caller.is_privileged:
            raise forbidden(f"{action}_{self.name}:{name}")

    @staticmethod
    def _checked(name: str, attribute: Attribute, value: Any) -> Any:
        try:
            return attribute.check(value)
        except ValueError as error:
            raise bad_request(f"Invalid input for {name}. Reason: {error}.") from None
