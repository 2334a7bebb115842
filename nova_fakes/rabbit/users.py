"""Users: passwords, tags, and what they may do in which virtual host."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hmac import compare_digest

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.errors import SoftError

__all__ = ["Permission", "User", "Users", "hashed"]

SALT_OCTETS = 4


@dataclass(frozen=True, slots=True)
class Permission:
    """What a user may do in a virtual host: regular expressions of the names that it may use so."""

    configure: str = ".*"
    write: str = ".*"
    read: str = ".*"

    def __post_init__(self) -> None:
        for name in ("configure", "write", "read"):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise InvalidInput(name, getattr(self, name), f"give a regular expression ({error})") from None

    def allows(self, action: str, name: str) -> bool:
        """Tell whether an action, configure, write or read, is allowed on something of that name."""
        pattern: str = getattr(self, action)
        # An empty expression means nothing, and the default exchange goes by this name.
        return pattern == ".*" or bool(re.search(pattern or "^$", name or "amq.default"))


@dataclass(slots=True)
class User:
    """One user.

    :param tags: administrator, monitoring, management, impersonator …
    :param permissions: by virtual host; where there is none, the user may not enter
    :param topic_permissions: by virtual host and exchange; where there is none, any topic will do
    """

    name: str
    password: str | None = None
    tags: tuple[str, ...] = ()
    permissions: dict[str, Permission] = field(default_factory=dict)
    topic_permissions: dict[tuple[str, str], Permission] = field(default_factory=dict)
    #: In the place of the password, as :func:`hashed` makes it.
    password_hash: str | None = None

    def knows(self, password: str) -> bool:
        """Tell whether that is the password."""
        if self.password is not None:
            return compare_digest(_octets(password), _octets(self.password))
        return self.password_hash is not None and _is_hash_of(self.password_hash, password)

    def may(self, action: str, vhost: str, name: str) -> bool:
        """Tell whether it may do something with the queue or exchange of a name."""
        permission = self.permissions.get(vhost)
        return permission is not None and permission.allows(action, name)

    def check(self, action: str, vhost: str, kind: str, name: str) -> None:
        """Refuse what it may not do."""
        if not self.may(action, vhost, name):
            shown = f"{kind} '{name or 'amq.default'}' in vhost '{vhost}'"
            raise SoftError("ACCESS_REFUSED", f"access to {shown} refused for user '{self.name}'")

    def check_topic(self, action: str, vhost: str, exchange: str, routing_key: str) -> None:
        """Refuse a topic that it may not use."""
        permission = self.topic_permissions.get((vhost, exchange))
        if permission is not None and not permission.allows(action, routing_key):
            where = f"topic '{routing_key}' in exchange '{exchange}' in vhost '{vhost}'"
            raise SoftError("ACCESS_REFUSED", f"access to {where} refused for user '{self.name}'")


class Users:
    """The users that a broker knows."""

    def __init__(self) -> None:
        self._by_name: dict[str, User] = {}

    def __iter__(self) -> Iterator[User]:
        return iter(list(self._by_name.values()))

    def add(self, user: User) -> User:
        """Take a user in, in the place of one of the same name."""
        self._by_name[user.name] = user
        return user

    def remove(self, name: str) -> None:
        """Forget a user."""
        self._by_name.pop(name, None)

    def get(self, name: str) -> User | None:
        """Return the user of a name; None: nobody."""
        return self._by_name.get(name)

    def authenticate(self, name: str, password: str) -> User | None:
        """Return the user where the password is theirs."""
        user = self._by_name.get(name)
        return user if user is not None and user.knows(password) else None

    def certified(self, certificate: object) -> User | None:
        """Return the user that a TLS client certificate names, by its common name."""
        if not isinstance(certificate, dict):
            return None
        for rdn in certificate.get("subject", ()):
            for name, value in rdn:
                if name == "commonName" and value in self._by_name:
                    return self._by_name[value]
        return None


def hashed(password: str, salt: bytes | None = None) -> str:
    """Return a password's hash as RabbitMQ keeps it: base64 of a salt of 4 octets and SHA-256 of both."""
    salt = os.urandom(SALT_OCTETS) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + _octets(password)).digest()).decode()


def _is_hash_of(password_hash: str, password: str) -> bool:
    try:
        salt = base64.b64decode(password_hash, validate=True)[:SALT_OCTETS]
    except binascii.Error:
        return False
    return compare_digest(password_hash, hashed(password, salt))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
