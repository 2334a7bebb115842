"""Passwords and application credentials' secrets, kept as salted scrypt hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets

__all__ = ["hash_password", "verify_password"]

# Cheap on purpose (well under a millisecond): what it protects is a test cloud's state file.
COST = 2**8
BLOCK = 8


def hash_password(password: str) -> str:
    """Return a salted hash of `password`: "scrypt$salt$key", both in hexadecimal."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_key(password, salt).hex()}"


def verify_password(password: str, hashed: str | None) -> bool:
    """Tell whether `hashed` was made of `password`; nothing matches None, the hash of a user without a password."""
    if hashed is None:
        return False
    _, salt, key = hashed.split("$")
    return hmac.compare_digest(_key(password, bytes.fromhex(salt)), bytes.fromhex(key))


def _key(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=1)
