"""What the identity service knows: domains, projects, users, groups, roles, and who has which of these where."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from nova_fakes.api.identity.assignments import Assignments, Grant
from nova_fakes.api.identity.collection import Collection, Row
from nova_fakes.api.identity.passwords import hash_password, verify_password
from nova_fakes.api.identity.resources import collections
from nova_fakes.api.identity.tokens import Scope, TokenStore
from nova_fakes.exceptions import ApiError

__all__ = ["DEFAULT_DOMAIN_ID", "Directory"]

DEFAULT_DOMAIN_ID = "default"


class Directory:
    """All identity resources, changed together and consistently; it begins with the Default domain.

    Args:
        tokens: where the tokens are of which a user is rid when his password changes.
    """

    def __init__(self, tokens: TokenStore) -> None:
        self.lock = threading.RLock()
        self.collections: dict[str, Collection] = collections()
        self.assignments = Assignments()
        self.tokens = tokens
        # Counts changes; what was worked out under an older number is worked out again.
        self.generation = 0
        self._passwords: dict[str, str] = {}
        self._members: dict[str, dict[str, None]] = {}  # users by group
        self._implied: dict[str, dict[str, None]] = {}  # roles by the role that implies them
        self["domains"].create({"name": "Default", "description": "The default domain"}, row_id=DEFAULT_DOMAIN_ID)

    def __getitem__(self, plural: str) -> Collection:
        """Return a collection ("users"); change it by this object's methods, which know what hangs on it."""
        return self.collections[plural]

    def create(self, plural: str, values: Mapping[str, Any], row_id: str | None = None) -> Row:
        """Create a resource ("users", {"name": …, "password": …}) and return it.

        Raises:
            ApiError: 400, values that cannot be used; 404, something they refer to is not there; 409, the name is
                taken.
        """
        with self.lock:
            values = dict(values)
            password = self._take_password(values) if plural == "users" else None
            if plural == "projects":
                parent_id = values.get("parent_id")
                if parent_id in self["projects"]:
                    values.setdefault("domain_id", self["projects"].get(str(parent_id))["domain_id"])
                elif parent_id is not None:
                    values.setdefault("domain_id", parent_id)
            if "domain_id" in self[plural].fields and plural not in ("roles", "limits"):
                values["domain_id"] = values.get("domain_id") or DEFAULT_DOMAIN_ID
            if plural == "projects":
                values["parent_id"] = values.get("parent_id") or values["domain_id"]
            self._check_references(plural, values)
            if plural == "regions":
                row_id = row_id or values.get("id")
            row = self[plural].create(values, row_id)
            if password is not None:
                self._passwords[row["id"]] = hash_password(password)
            self._changed()
            return row

    def update(self, plural: str, row_id: str, changes: Mapping[str, Any]) -> Row:
        """Change a resource and return it.

        Raises:
            ApiError: as in `create`; 404 as well where the resource itself is not there.
        """
        with self.lock:
            changes = dict(changes)
            password = self._take_password(changes) if plural == "users" else None
            self._check_references(plural, changes)
            row = self[plural].update(row_id, changes)
            if password is not None:
                self._set_password(row_id, password)
            self._changed()
            return row

    def delete(self, plural: str, row_id: str) -> None:
        """Delete a resource and what cannot be without it.

        Raises:
            ApiError: 404, it is not there; 403, it is an enabled domain, a project with children or a region with them.
        """
        with self.lock:
            row = self[plural].get(row_id)
            if plural == "domains":
                if row["enabled"]:
                    raise ApiError(403, "Cannot delete a domain that is enabled, please disable it first.")
                self._delete_domain_content(row_id)
            elif plural == "projects" and any(project["parent_id"] == row_id for project in self["projects"]):
                raise ApiError(
                    403,
                    f"Cannot delete the project {row_id} since it is not a leaf in the hierarchy. "
                    "Delete its child projects first.",
                )
            elif plural == "regions" and any(region["parent_region_id"] == row_id for region in self["regions"]):
                raise ApiError(403, f"Unable to delete region {row_id} because it or its child regions have children.")
            elif plural == "regions" and any(endpoint["region_id"] == row_id for endpoint in self["endpoints"]):
                raise ApiError(
                    403, f"Unable to delete region {row_id} because it or its child regions have associated endpoints."
                )
            elif plural == "services":
                for endpoint in self["endpoints"]:
                    if endpoint["service_id"] == row_id:
                        self["endpoints"].delete(endpoint["id"])
            elif plural == "users":
                self._passwords.pop(row_id, None)
                for members in self._members.values():
                    members.pop(row_id, None)
            elif plural == "groups":
                self._members.pop(row_id, None)
            elif plural == "roles":
                self._implied.pop(row_id, None)
                for implied in self._implied.values():
                    implied.pop(row_id, None)
            if plural in ("users", "projects"):
                self._delete_dependents(plural, row_id)
            if plural in ("users", "groups", "projects", "domains", "roles"):
                self.assignments.forget(self[plural].singular, row_id)
            self[plural].delete(row_id)
            self._changed()

    def change_password(self, user_id: str, original: str, new: str) -> None:
        """Set a user's password on his own behalf; his tokens are revoked.

        Raises:
            ApiError: 404, no such user; 401, `original` is not his password.
        """
        with self.lock:
            self["users"].get(user_id)
            if not verify_password(original, self._passwords.get(user_id)):
                raise ApiError(401, "The request you have made requires authentication.")
            self._set_password(user_id, new)
            self._changed()

    def check_password(self, user_id: str, password: str) -> bool:
        """Tell whether that is the user's password."""
        return verify_password(password, self._passwords.get(user_id))

    # Groups, roles

    def add_member(self, group_id: str, user_id: str) -> None:
        """Put a user into a group; nothing happens if he is in it. ApiError 404 if either is not there."""
        with self.lock:
            self["groups"].get(group_id)
            self["users"].get(user_id)
            self._members.setdefault(group_id, {})[user_id] = None
            self._changed()

    def remove_member(self, group_id: str, user_id: str) -> None:
        """Take a user out of a group; ApiError 404 if he is not in it."""
        with self.lock:
            self.check_member(group_id, user_id)
            del self._members[group_id][user_id]
            self._changed()

    def check_member(self, group_id: str, user_id: str) -> None:
        """Raise ApiError 404 unless the user is in the group."""
        self["groups"].get(group_id)
        self["users"].get(user_id)
        if user_id not in self._members.get(group_id, {}):
            raise ApiError(404, f"User '{user_id}' not found in group '{group_id}'.")

    def members(self, group_id: str) -> list[Row]:
        """Return the users in a group."""
        with self.lock:
            self["groups"].get(group_id)
            return [self["users"].get(user_id) for user_id in self._members.get(group_id, {})]

    def groups_of(self, user_id: str) -> list[Row]:
        """Return the groups a user is in."""
        with self.lock:
            self["users"].get(user_id)
            return [self["groups"].get(group_id) for group_id, users in self._members.items() if user_id in users]

    def grant(self, grant: Grant) -> None:
        """Give a role; nothing happens if it was given before. ApiError 404 if anything it names is not there."""
        with self.lock:
            self._check_grant(grant)
            self.assignments.add(grant)
            self._changed()

    def revoke_grant(self, grant: Grant) -> None:
        """Take a role away; ApiError 404 if it was not given."""
        with self.lock:
            self._check_grant(grant)
            if not self.assignments.remove(grant):
                raise self._no_grant(grant)
            self._changed()

    def check_grant(self, grant: Grant) -> None:
        """Raise ApiError 404 unless exactly this grant was made."""
        with self.lock:
            self._check_grant(grant)
            if grant not in self.assignments:
                raise self._no_grant(grant)

    def imply(self, prior_id: str, implied_id: str) -> None:
        """Let one role imply another; ApiError 404 if either is not there, 403 if they would imply each other."""
        with self.lock:
            self["roles"].get(prior_id)
            self["roles"].get(implied_id)
            if prior_id in self.with_implied([implied_id]):
                raise ApiError(403, f"Role {implied_id} implies role {prior_id} already.")
            self._implied.setdefault(prior_id, {})[implied_id] = None
            self._changed()

    def stop_implying(self, prior_id: str, implied_id: str) -> None:
        """Undo `imply`; ApiError 404 if it was not done."""
        with self.lock:
            if implied_id not in self._implied.get(prior_id, {}):
                raise ApiError(404, f"{prior_id} does not imply {implied_id}.")
            del self._implied[prior_id][implied_id]
            self._changed()

    def implied(self, prior_id: str) -> list[Row]:
        """Return the roles that one implies directly."""
        with self.lock:
            self["roles"].get(prior_id)
            return [self["roles"].get(role_id) for role_id in self._implied.get(prior_id, {})]

    def with_implied(self, role_ids: list[str]) -> dict[str, None]:
        """Return the ids of these roles and of all that they imply, without repetition, in order."""
        found: dict[str, None] = {}
        waiting = list(role_ids)
        while waiting:
            role_id = waiting.pop(0)
            if role_id not in found:
                found[role_id] = None
                waiting += self._implied.get(role_id, {})
        return found

    def roles_on(self, user_id: str, scope: Scope) -> list[Row]:
        """Return the roles that a user has on a scope: his own, his groups', inherited and implied ones."""
        with self.lock:
            group_ids = [group_id for group_id, users in self._members.items() if user_id in users]
            above: set[tuple[str, str]] = set()
            if scope.kind == "project" and scope.id in self["projects"]:
                project = self["projects"].get(scope.id)
                above.add(("domain", project["domain_id"]))
                while project["parent_id"] in self["projects"]:
                    project = self["projects"].get(project["parent_id"])
                    above.add(("project", project["id"]))
            role_ids = []
            for actor_type, actor_ids in (("user", [user_id]), ("group", group_ids)):
                for grant in self.assignments.of(actor_type, actor_ids):
                    target = (grant.target_type, grant.target_id)
                    if (target in above) if grant.inherited else target == (scope.kind, scope.id):
                        role_ids.append(grant.role_id)
            return [self["roles"].get(role_id) for role_id in self.with_implied(role_ids)]

    def scopes_of(self, user_id: str, plural: str) -> list[Row]:
        """Return the enabled projects or domains on which a user has a role."""
        kind = self[plural].singular
        with self.lock:
            return [row for row in self[plural] if row["enabled"] and self.roles_on(user_id, Scope(kind, row["id"]))]

    def dump_directory(self) -> Row:
        """Return all of it but the tokens as JSON-able data; passwords are in it as hashes only."""
        with self.lock:
            return {
                "collections": {plural: collection.dump() for plural, collection in self.collections.items()},
                "assignments": self.assignments.dump(),
                "passwords": dict(self._passwords),
                "members": {group_id: list(users) for group_id, users in self._members.items()},
                "implied": {role_id: list(roles) for role_id, roles in self._implied.items()},
            }

    def load_directory(self, state: Row) -> None:
        """Replace all of it but the tokens by what `dump_directory` returned."""
        with self.lock:
            for plural, collection in self.collections.items():
                collection.load(state["collections"].get(plural, []))
            self.assignments.load(state["assignments"])
            self._passwords = dict(state["passwords"])
            self._members = {group_id: dict.fromkeys(users) for group_id, users in state["members"].items()}
            self._implied = {role_id: dict.fromkeys(roles) for role_id, roles in state["implied"].items()}
            self._changed()

    def _changed(self) -> None:
        self.generation += 1

    def _take_password(self, values: Row) -> str | None:
        if "password" not in values:
            return None
        password = values.pop("password")
        if password is not None and not isinstance(password, str):
            raise ApiError(400, "Invalid input for field 'password': it is not of type string.")
        return password

    def _set_password(self, user_id: str, password: str) -> None:
        self._passwords[user_id] = hash_password(password)
        self.tokens.revoke_user(user_id)

    def _check_references(self, plural: str, values: Row) -> None:
        for attribute, target in (("domain_id", "domains"), ("service_id", "services"), ("region_id", "regions")):
            value = values.get(attribute)
            if value is not None and attribute in self[plural].fields and value not in self[target]:
                status = 400 if plural in ("endpoints", "registered_limits", "limits") else 404
                raise ApiError(status, f"Could not find {self[target].singular}: {value}.")
        parent_id = values.get("parent_region_id")
        if plural == "regions" and parent_id is not None:
            self["regions"].get(parent_id)
        parent_id = values.get("parent_id")
        if plural == "projects" and parent_id not in (None, values.get("domain_id")):
            parent = self["projects"].get(str(parent_id))
            if "domain_id" in values and parent["domain_id"] != values["domain_id"]:
                raise ApiError(400, "Invalid domain of the project: it must be its parent's.")

    def _check_grant(self, grant: Grant) -> None:
        self["roles"].get(grant.role_id)
        self[grant.actor_type + "s"].get(grant.actor_id)
        if grant.target_type != "system":
            self[grant.target_type + "s"].get(grant.target_id)

    def _no_grant(self, grant: Grant) -> ApiError:
        return ApiError(
            404,
            f"Could not find role assignment with role: {grant.role_id}, {grant.actor_type}: {grant.actor_id}, "
            f"{grant.target_type}: {grant.target_id}.",
        )

    def _delete_dependents(self, plural: str, row_id: str) -> None:
        """Delete what a user or project has that is going away: credentials, trusts, limits."""
        attributes = ("user_id", "trustor_user_id", "trustee_user_id") if plural == "users" else ("project_id",)
        for kind in ("application_credentials", "credentials", "trusts", "limits"):
            for row in self[kind]:
                if any(row.get(attribute) == row_id for attribute in attributes):
                    self[kind].delete(row["id"])

    def _delete_domain_content(self, domain_id: str) -> None:
        for plural in ("groups", "users", "roles"):
            for row in self[plural]:
                if row["domain_id"] == domain_id:
                    self.delete(plural, row["id"])
        while projects := [row for row in self["projects"] if row["domain_id"] == domain_id]:
            parents = {row["parent_id"] for row in projects}
            for row in projects:
                if row["id"] not in parents:
                    self.delete("projects", row["id"])
