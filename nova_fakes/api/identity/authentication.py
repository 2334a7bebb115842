"""Who is it? The body of POST /v3/auth/tokens, checked and turned into a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_fakes.api.identity.collection import Row
from nova_fakes.api.identity.passwords import verify_password
from nova_fakes.api.identity.tokens import Scope, TokenRecord
from nova_fakes.exceptions import ApiError

if TYPE_CHECKING:
    from nova_fakes.api.identity.service import IdentityService

__all__ = ["authenticate_request"]

METHODS = ("password", "token", "application_credential")


def authenticate_request(service: IdentityService, auth: Row) -> tuple[str, TokenRecord]:
    """Issue the token that a request asks for.

    Args:
        service: the identity service.
        auth: the value of the body's "auth" member: {"identity": {"methods": […], …}, "scope": …}.

    Returns:
        The token's id, and what it stands for.

    Raises:
        ApiError: 400, the body is not what the API asks for; 401, it does not prove anything, or there is no role on
            the scope.
    """
    identity = _object(auth, "identity")
    methods = identity.get("methods")
    if not isinstance(methods, list) or not methods or not all(isinstance(method, str) for method in methods):
        raise ApiError(400, "'methods' of 'identity' must be a list of strings that is not empty.")
    for method in methods:
        if method not in METHODS:
            raise ApiError(401, f"Attempted to authenticate with an unsupported method: {method}.")
    with service.lock:
        proofs = [_PROOFS[method](service, _object(identity, method)) for method in dict.fromkeys(methods)]
        user_ids = {proof.user_id for proof in proofs}
        if len(user_ids) != 1:
            raise _unauthorized()
        user_id = user_ids.pop()
        parent = next((proof.parent for proof in proofs if proof.parent), None)
        credential = next((proof.credential for proof in proofs if proof.credential), None)
        asked = auth.get("scope")
        if isinstance(asked, dict) and "OS-TRUST:trust" in asked:
            return _by_trust(service, asked, user_id, methods, parent)
        scope = _scope(service, asked, user_id, parent, credential)
        used = tuple(dict.fromkeys([*methods, *(parent.methods if parent else ())]))
        return service.issue(user_id, used, scope, parent, credential["id"] if credential else None)


def _by_trust(
    service: IdentityService, scope: Row, user_id: str, methods: list[str], parent: TokenRecord | None
) -> tuple[str, TokenRecord]:
    """Issue a token by a trust: its maker's where the trust impersonates him."""
    if len(scope) != 1:
        raise ApiError(400, "'scope' must have one of 'project', 'domain', 'system' and 'OS-TRUST:trust'.")
    trust_id = _object(scope, "OS-TRUST:trust").get("id")
    trust = service["trusts"].rows.get(str(trust_id))
    if trust is None:
        raise _unauthorized()
    if trust["trustee_user_id"] != user_id or trust["remaining_uses"] == 0:
        raise ApiError(403, "User is not a trustee, or the trust has been used up.")
    trustor = service["users"].get(trust["trustor_user_id"])
    if not trustor["enabled"]:
        raise ApiError(403, "The trustor is disabled.")
    found = Scope("project", trust["project_id"]) if trust["project_id"] else Scope()
    owner = trust["trustor_user_id"] if trust["impersonation"] else user_id
    issued = service.issue(owner, tuple(dict.fromkeys(methods)), found, parent, trust_id=trust["id"])
    if trust["remaining_uses"] is not None:
        service.update("trusts", trust["id"], {"remaining_uses": trust["remaining_uses"] - 1})
    return issued


class _Proof:
    """What one method has proved."""

    def __init__(self, user_id: str, parent: TokenRecord | None = None, credential: Row | None = None) -> None:
        self.user_id = user_id
        self.parent = parent
        self.credential = credential


def _by_password(service: IdentityService, data: Row) -> _Proof:
    claim = _object(data, "user")
    password = claim.get("password")
    if not isinstance(password, str):
        raise ApiError(400, "'password' of 'user' is required and must be a string.")
    user = _user(service, claim)
    if user is None or not service.check_password(user["id"], password):
        raise _unauthorized()
    return _Proof(user["id"])


def _by_token(service: IdentityService, data: Row) -> _Proof:
    token_id = data.get("id")
    if not isinstance(token_id, str):
        raise ApiError(400, "'id' of 'token' is required and must be a string.")
    record = service.record(token_id)
    if record is None:
        raise _unauthorized()
    if record.application_credential_id is not None:
        raise ApiError(403, "A token got by an application credential cannot be exchanged for another one.")
    if record.trust_id is not None:
        raise ApiError(403, "A token got by a trust cannot be exchanged for another one.")
    return _Proof(record.user_id, parent=record)


def _by_application_credential(service: IdentityService, data: Row) -> _Proof:
    secret = data.get("secret")
    if not isinstance(secret, str):
        raise ApiError(400, "'secret' of 'application_credential' is required and must be a string.")
    credentials = service["application_credentials"]
    credential: Row | None = None
    if "id" in data:
        credential = credentials.rows.get(str(data["id"]))
    elif "name" in data:
        user = _user(service, _object(data, "user"))
        credential = credentials.find(user["id"], data["name"]) if user else None
    else:
        raise ApiError(400, "'application_credential' must have an 'id', or a 'name' and a 'user'.")
    if credential is None or not verify_password(secret, credential["secret_hash"]):
        raise _unauthorized()
    return _Proof(credential["user_id"], credential=credential)


_PROOFS = {"password": _by_password, "token": _by_token, "application_credential": _by_application_credential}


def _scope(
    service: IdentityService, scope: object, user_id: str, parent: TokenRecord | None, credential: Row | None
) -> Scope:
    if credential is not None:
        if scope is not None:
            raise ApiError(401, "Application credentials cannot request a scope.")
        return Scope("project", credential["project_id"])
    if scope == "unscoped":
        return Scope()
    if scope is None:
        default = service["users"].get(user_id)["default_project_id"]
        # A token asks for another one without scope to get rid of its own; a password, for the default project.
        if parent is None and default in service["projects"]:
            found = Scope("project", default)
            if service.roles_on(user_id, found):
                return found
        return Scope()
    if not isinstance(scope, dict):
        raise ApiError(400, "'scope' must be an object or 'unscoped'.")
    kinds = [kind for kind in ("project", "domain", "system", "unscoped") if kind in scope]
    if len(kinds) != 1:
        raise ApiError(400, "'scope' must have one of 'project', 'domain', 'system' and 'unscoped'.")
    kind = kinds[0]
    if kind == "unscoped":
        return Scope()
    target = _object(scope, kind)
    if kind == "system":
        if target.get("all") is not True:
            raise ApiError(400, "'system' of 'scope' must be {'all': true}.")
        return Scope("system", "all")
    row = _domain(service, target) if kind == "domain" else _project(service, target)
    if row is None:
        raise _unauthorized()
    return Scope(kind, row["id"])


def _user(service: IdentityService, claim: Row) -> Row | None:
    if "id" in claim:
        return service["users"].rows.get(str(claim["id"]))
    return _named(service, "users", claim)


def _project(service: IdentityService, claim: Row) -> Row | None:
    if "id" in claim:
        return service["projects"].rows.get(str(claim["id"]))
    return _named(service, "projects", claim)


def _named(service: IdentityService, plural: str, claim: Row) -> Row | None:
    if not isinstance(claim.get("name"), str):
        raise ApiError(400, f"A {service[plural].singular} is named by its 'id', or by its 'name' and 'domain'.")
    domain = _domain(service, _object(claim, "domain"))
    return service[plural].find(domain["id"], claim["name"]) if domain else None


def _domain(service: IdentityService, claim: Row) -> Row | None:
    if "id" in claim:
        return service["domains"].rows.get(str(claim["id"]))
    if not isinstance(claim.get("name"), str):
        raise ApiError(400, "A domain is named by its 'id' or its 'name'.")
    return service["domains"].find(claim["name"])


def _object(data: Row, key: str) -> dict[str, Any]:
    value = data.get(key)
    if not isinstance(value, dict):
        raise ApiError(400, f"'{key}' is required and must be an object.")
    return value


def _unauthorized() -> ApiError:
    return ApiError(401, "The request you have made requires authentication.")
