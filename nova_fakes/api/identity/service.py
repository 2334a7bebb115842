"""The identity service: its resources, who may act where, and the tokens that say so."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.identity.assignments import Assignments, Grant
from nova_fakes.api.identity.bootstrap import bootstrap
from nova_fakes.api.identity.collection import Collection, Row
from nova_fakes.api.identity.passwords import hash_password, verify_password
from nova_fakes.api.identity.resources import collections
from nova_fakes.api.identity.tokens import Scope, TokenRecord, TokenStore
from nova_fakes.clock import Clock
from nova_fakes.exceptions import ApiError

__all__ = ["IdentityService"]

DEFAULT_DOMAIN_ID = "default"
CACHED_TOKENS = 4096


class IdentityService:
    """A Keystone without a database, safe to use from many threads.

    Every change of resources or grants takes effect on tokens that are out already: a token whose user, project or
    domain was disabled or deleted, or whose user has lost the last role on its scope, is not valid any more.

    Args:
        clock: tells when tokens expire.
        token_lifetime_s: how long a token is valid (keystone.conf [token] expiration).
    """

    def __init__(self, clock: Clock, *, token_lifetime_s: float = 3600) -> None:
        self.lock = threading.RLock()
        self.collections: dict[str, Collection] = collections()
        self.assignments = Assignments()
        self.tokens = TokenStore(clock, token_lifetime_s)
        self._passwords: dict[str, str] = {}
        self._members: dict[str, dict[str, None]] = {}  # users by group
        self._implied: dict[str, dict[str, None]] = {}  # roles by the role that implies them
        # Counts changes; what was worked out under an older number is worked out again.
        self._generation = 0
        self._valid: dict[str, tuple[int, Token]] = {}
        self._clock = clock
        with self.lock:
            self["domains"].create({"name": "Default", "description": "The default domain"}, row_id=DEFAULT_DOMAIN_ID)

    def __getitem__(self, plural: str) -> Collection:
        """Return a collection ("users"); change it by the service's methods, which know what hangs on it."""
        return self.collections[plural]

    # Resources

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
            if "domain_id" in self[plural].fields and plural != "roles":
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
                attribute = "user_id" if plural == "users" else "project_id"
                for credential in self["application_credentials"]:
                    if credential[attribute] == row_id:
                        self["application_credentials"].delete(credential["id"])
            if plural == "application_credentials":
                self.tokens.revoke_application_credential(row_id)
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

    # Tokens

    def validate(self, token_id: str) -> Token | None:
        """Return the token of that id; None if it is unknown, revoked, expired, or its user has lost his rights."""
        cached = self._valid.get(token_id)
        if cached is not None and cached[0] == self._generation:
            token = cached[1]
            return token if self._clock.now() < token.expires_at else None
        with self.lock:
            record = self.record(token_id)
            if record is None:
                return None
            user = self["users"].get(record.user_id)
            project = self["projects"].get(record.scope.id) if record.scope.kind == "project" else None
            domain_id = project["domain_id"] if project else user["domain_id"]
            token = Token(
                id=token_id,
                user_id=record.user_id,
                user_name=user["name"],
                project_id=project["id"] if project else None,
                project_name=project["name"] if project else None,
                domain_id=record.scope.id if record.scope.kind == "domain" else domain_id,
                roles=tuple(role["name"] for role in self.token_roles(record)),
                issued_at=record.issued_at,
                expires_at=record.expires_at,
            )
            if len(self._valid) >= CACHED_TOKENS:
                self._valid.clear()
            self._valid[token_id] = self._generation, token
            return token

    def record(self, token_id: str, allow_expired: bool = False) -> TokenRecord | None:
        """Return what is known of a valid token, None where `validate` returns None.

        Args:
            token_id: as the client sent it.
            allow_expired: whether it may have expired within the last two days.
        """
        with self.lock:
            record = self.tokens.find(token_id, allow_expired)
            if record is None or not self._usable(record):
                return None
            return record

    def revoke(self, token_id: str) -> None:
        """Make a token invalid; nothing happens if it is not valid anyway."""
        with self.lock:
            self.tokens.revoke(token_id)
            self._valid.pop(token_id, None)

    def issue(
        self,
        user_id: str,
        methods: tuple[str, ...],
        scope: Scope,
        parent: TokenRecord | None = None,
        application_credential_id: str | None = None,
    ) -> tuple[str, TokenRecord]:
        """Issue a token to a user who has proved to be himself; arguments as in `TokenStore.issue`.

        Raises:
            ApiError: 401, he is disabled, or has no role on the scope.
        """
        with self.lock:
            token_id, record = self.tokens.issue(user_id, methods, scope, parent, application_credential_id)
            if not self._usable(record):
                self.tokens.revoke(token_id)
                raise ApiError(401, "The request you have made requires authentication.")
            return token_id, record

    def token_roles(self, record: TokenRecord) -> list[Row]:
        """Return the roles that a token carries: the user's, or fewer if an application credential limits them."""
        roles = self.roles_on(record.user_id, record.scope)
        if record.application_credential_id is not None:
            credential = self["application_credentials"].get(record.application_credential_id)
            allowed = self.with_implied([role["id"] for role in credential["roles"]])
            roles = [role for role in roles if role["id"] in allowed]
        return roles

    def describe(self, record: TokenRecord, catalog: bool = True) -> Row:
        """Return a token's body as the API shows it, the value of its "token" member."""
        with self.lock:
            user = self["users"].get(record.user_id)
            body: Row = {
                "methods": list(record.methods),
                "user": {
                    "domain": self._domain(user["domain_id"]),
                    "id": user["id"],
                    "name": user["name"],
                    "password_expires_at": user["password_expires_at"],
                },
                "audit_ids": list(record.audit_ids),
                "expires_at": timestamp(record.expires_at),
                "issued_at": timestamp(record.issued_at),
            }
            scope = record.scope
            if scope.kind == "unscoped":
                return body
            if scope.kind == "project":
                project = self["projects"].get(scope.id)
                domain = self._domain(project["domain_id"])
                body["project"] = {"domain": domain, "id": project["id"], "name": project["name"]}
                body["is_domain"] = False
            elif scope.kind == "domain":
                body["domain"] = self._domain(scope.id)
            else:
                body["system"] = {"all": True}
            body["roles"] = [{"id": role["id"], "name": role["name"]} for role in self.token_roles(record)]
            if record.application_credential_id is not None:
                credential = self["application_credentials"].get(record.application_credential_id)
                body["application_credential"] = {
                    "id": credential["id"],
                    "name": credential["name"],
                    "restricted": not credential["unrestricted"],
                }
            if catalog:
                body["catalog"] = self.catalog(record)
            return body

    def catalog(self, record: TokenRecord) -> list[Row]:
        """Return the service catalog as a token's owner sees it: enabled services and endpoints, URLs filled in."""
        project_id = record.scope.id if record.scope.kind == "project" else ""
        with self.lock:
            by_service: dict[str, list[Row]] = {}
            for endpoint in self["endpoints"]:
                url = _expand(endpoint["url"], project_id, record.user_id)
                if endpoint["enabled"] and url is not None:
                    shown = {
                        "id": endpoint["id"],
                        "interface": endpoint["interface"],
                        "region_id": endpoint["region_id"],
                        "url": url,
                        "region": endpoint["region_id"],
                    }
                    by_service.setdefault(endpoint["service_id"], []).append(shown)
            return [
                {
                    "endpoints": by_service.get(service["id"], []),
                    "id": service["id"],
                    "type": service["type"],
                    "name": service["name"],
                }
                for service in self["services"]
                if service["enabled"]
            ]

    # Life

    def bootstrap(
        self,
        admin_password: str,
        services: Mapping[str, str],
        *,
        region: str = "RegionOne",
        service_password: str | None = None,
        demo_password: str | None = None,
    ) -> None:
        """Make a cloud's first users, projects, roles and catalog; existing ones are brought up to date.

        What `keystone-manage bootstrap` makes (roles that imply each other, the admin user with its roles on the admin
        project and on the system), and what installers add: a "service" project whose users nova, placement, neutron,
        glance and cinder are admin and service, and a demo user who is a member of the demo project.

        Args:
            admin_password: of the user admin.
            services: URL by service type ("compute"); public, internal and admin endpoint alike. URLs may contain
                "%(project_id)s".
            region: where the endpoints are.
            service_password: of the services' users; the administrator's if None.
            demo_password: of the user demo; the administrator's if None.
        """
        with self.lock:
            bootstrap(
                self,
                admin_password,
                services,
                region,
                service_password or admin_password,
                demo_password or admin_password,
            )

    def dump(self) -> Row:
        """Return the whole state as JSON-able data. Passwords and tokens are in it as hashes only."""
        with self.lock:
            return {
                "version": 1,
                "collections": {plural: collection.dump() for plural, collection in self.collections.items()},
                "assignments": self.assignments.dump(),
                "passwords": dict(self._passwords),
                "members": {group_id: list(users) for group_id, users in self._members.items()},
                "implied": {role_id: list(roles) for role_id, roles in self._implied.items()},
                "tokens": self.tokens.dump(),
            }

    def load(self, state: Row) -> None:
        """Replace the whole state by what `dump` returned.

        Raises:
            ApiError: 500, it is no such thing.
        """
        if state.get("version") != 1:
            raise ApiError(500, f"identity state of version {state.get('version')!r} cannot be loaded; 1 is needed")
        with self.lock:
            for plural, collection in self.collections.items():
                collection.load(state["collections"].get(plural, []))
            self.assignments.load(state["assignments"])
            self._passwords = dict(state["passwords"])
            self._members = {group_id: dict.fromkeys(users) for group_id, users in state["members"].items()}
            self._implied = {role_id: dict.fromkeys(roles) for role_id, roles in state["implied"].items()}
            self.tokens.load(state["tokens"])
            self._changed()

    def _changed(self) -> None:
        self._generation += 1

    def _usable(self, record: TokenRecord) -> bool:
        users, domains = self["users"], self["domains"]
        if record.user_id not in users:
            return False
        user = users.get(record.user_id)
        if not (user["enabled"] and domains.get(user["domain_id"])["enabled"]):
            return False
        scope, credential_id = record.scope, record.application_credential_id
        if credential_id is not None:
            if credential_id not in self["application_credentials"]:
                return False
            credential = self["application_credentials"].get(credential_id)
            if credential["expires_at"] is not None and _unix(credential["expires_at"]) <= self._clock.now():
                return False
        if scope.kind == "unscoped":
            return True
        if scope.kind == "project":
            if scope.id not in self["projects"]:
                return False
            project = self["projects"].get(scope.id)
            if not (project["enabled"] and domains.get(project["domain_id"])["enabled"]):
                return False
        elif scope.kind == "domain" and not (scope.id in domains and domains.get(scope.id)["enabled"]):
            return False
        return bool(self.token_roles(record))

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
                status = 400 if plural == "endpoints" else 404
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

    def _domain(self, domain_id: str) -> Row:
        return {"id": domain_id, "name": self["domains"].get(domain_id)["name"]}


def timestamp(unix_s: float) -> str:
    """Return a time in Keystone's format: 2026-01-31T12:00:00.000000Z."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _unix(text: str) -> float:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC).timestamp()


def _expand(url: str, project_id: str, user_id: str) -> str | None:
    """Fill in an endpoint's URL; None if it needs a project and there is none (Keystone leaves it out then)."""
    if "(" not in url:
        return url
    for name in ("project_id", "tenant_id"):
        for template in (f"%({name})s", f"$({name})s"):
            if template in url and not project_id:
                return None
            url = url.replace(template, project_id)
    return url.replace("%(user_id)s", user_id).replace("$(user_id)s", user_id)
