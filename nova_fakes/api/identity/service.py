"""The identity service: its resources, who may act where, and the tokens that say so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from nova_fakes.api.auth import Token
from nova_fakes.api.identity.bootstrap import bootstrap
from nova_fakes.api.identity.collection import Row
from nova_fakes.api.identity.directory import Directory
from nova_fakes.api.identity.tokens import Scope, TokenRecord, TokenStore
from nova_fakes.clock import Clock
from nova_fakes.exceptions import ApiError

__all__ = ["IdentityService", "timestamp", "unix_time"]

CACHED_TOKENS = 4096


class IdentityService(Directory):
    """A Keystone without a database, safe to use from many threads.

    Every change of resources or grants takes effect on tokens that are out already: a token whose user, project or
    domain was disabled or deleted, or whose user has lost the last role on its scope, is not valid any more.

    Args:
        clock: tells when tokens expire.
        token_lifetime_s: how long a token is valid (keystone.conf [token] expiration).
    """

    def __init__(self, clock: Clock, *, token_lifetime_s: float = 3600) -> None:
        super().__init__(TokenStore(clock, token_lifetime_s))
        self._valid: dict[str, tuple[int, Token]] = {}
        self._clock = clock

    def validate(self, token_id: str) -> Token | None:
        """Return the token of that id; None if it is unknown, revoked, expired, or its user has lost his rights."""
        cached = self._valid.get(token_id)
        if cached is not None and cached[0] == self.generation:
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
            self._valid[token_id] = self.generation, token
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
        trust_id: str | None = None,
    ) -> tuple[str, TokenRecord]:
        """Issue a token to a user who has proved to be himself; arguments as in `TokenStore.issue`.

        Raises:
            ApiError: 401, he is disabled, or has no role on the scope.
        """
        with self.lock:
            not_after = None
            if application_credential_id is not None:
                credential = self["application_credentials"].get(application_credential_id)
                if credential["expires_at"] is not None:
                    not_after = unix_time(credential["expires_at"])
            if trust_id is not None and self["trusts"].get(trust_id)["expires_at"] is not None:
                not_after = unix_time(self["trusts"].get(trust_id)["expires_at"])
            token_id, record = self.tokens.issue(
                user_id, methods, scope, parent, application_credential_id, not_after, trust_id
            )
            if not self._usable(record):
                self.tokens.revoke(token_id)
                raise ApiError(401, "The request you have made requires authentication.")
            return token_id, record

    def token_roles(self, record: TokenRecord) -> list[Row]:
        """Return the roles that a token carries: the user's, or fewer where a credential or a trust limits them."""
        if record.trust_id is not None:
            return self._trusted_roles(self["trusts"].get(record.trust_id), record.scope)
        roles = self.roles_on(record.user_id, record.scope)
        if record.application_credential_id is not None:
            credential = self["application_credentials"].get(record.application_credential_id)
            allowed = self.with_implied([role["id"] for role in credential["roles"]])
            roles = [role for role in roles if role["id"] in allowed]
        return roles

    def _trusted_roles(self, trust: Row, scope: Scope) -> list[Row]:
        """Return what is left of the roles that a trust hands on: those that its maker still has."""
        allowed = self.with_implied([role["id"] for role in trust["roles"]])
        return [role for role in self.roles_on(trust["trustor_user_id"], scope) if role["id"] in allowed]

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
            if record.trust_id is not None:
                trust = self["trusts"].get(record.trust_id)
                body["OS-TRUST:trust"] = {
                    "id": trust["id"],
                    "trustor_user": {"id": trust["trustor_user_id"]},
                    "trustee_user": {"id": trust["trustee_user_id"]},
                    "impersonation": trust["impersonation"],
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
            return {"version": 1, **self.dump_directory(), "tokens": self.tokens.dump()}

    def load(self, state: Row) -> None:
        """Replace the whole state by what `dump` returned.

        Raises:
            ApiError: 500, it is no such thing.
        """
        if state.get("version") != 1:
            raise ApiError(500, f"identity state of version {state.get('version')!r} cannot be loaded; 1 is needed")
        with self.lock:
            self.load_directory(state)
            self.tokens.load(state["tokens"])

    def _usable(self, record: TokenRecord) -> bool:
        users, domains = self["users"], self["domains"]
        if record.user_id not in users:
            return False
        user = users.get(record.user_id)
        if not (user["enabled"] and domains.get(user["domain_id"])["enabled"]):
            return False
        scope, credential_id = record.scope, record.application_credential_id
        if record.expires_at <= record.issued_at:  # of an application credential that has expired
            return False
        if record.trust_id is not None and record.trust_id not in self["trusts"]:
            return False
        if credential_id is not None and credential_id not in self["application_credentials"]:
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

    def _domain(self, domain_id: str) -> Row:
        return {"id": domain_id, "name": self["domains"].get(domain_id)["name"]}


def timestamp(unix_s: float) -> str:
    """Return a time in Keystone's format: 2026-01-31T12:00:00.000000Z."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def unix_time(text: str) -> float:
    """Return the unix time of an ISO 8601 text, which is UTC unless it says otherwise; ValueError if it is none."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


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
