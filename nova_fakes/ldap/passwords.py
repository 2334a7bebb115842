"""Passwords as userPassword holds them: clear, or hashed with a scheme in braces (RFC 2307 §5.3, RFC 3112)."""

from __future__ import annotations

import base64
import binascii
import ctypes
import ctypes.util
import functools
import hashlib
import hmac
import random
import re
import string
from collections.abc import Callable

__all__ = ["generate", "hash_ssha", "matches"]

SCHEME = re.compile(rb"\{([^}]+)\}(.*)", re.DOTALL)
SALT_BYTES = 4
GENERATED_LENGTH = 8
PBKDF2 = {"PBKDF2": "sha1", "PBKDF2-SHA1": "sha1", "PBKDF2-SHA256": "sha256", "PBKDF2-SHA512": "sha512"}


def hash_ssha(password: bytes, rng: random.Random) -> bytes:
    """Hash a password with SHA-1 and a salt, slapd's default scheme."""
    salt = rng.randbytes(SALT_BYTES)
    return b"{SSHA}" + base64.b64encode(hashlib.sha1(password + salt).digest() + salt)


def generate(rng: random.Random) -> bytes:
    """Make up a password."""
    return "".join(rng.choices(string.ascii_letters + string.digits, k=GENERATED_LENGTH)).encode()


def matches(stored: bytes, password: bytes) -> bool:
    """Tell whether a password is the one that a value of userPassword stands for; unknown schemes match nothing."""
    match = SCHEME.fullmatch(stored)
    if match is None:
        return hmac.compare_digest(stored, password)
    scheme = match[1].decode("latin-1").upper()
    check = CHECKS.get(scheme) or (_pbkdf2(PBKDF2[scheme]) if scheme in PBKDF2 else None)
    try:
        return check is not None and check(match[2], password)
    except (ValueError, binascii.Error):
        return False


def _digest(algorithm: str, salted: bool) -> Callable[[bytes, bytes], bool]:
    size = hashlib.new(algorithm).digest_size

    def check(encoded: bytes, password: bytes) -> bool:
        raw = base64.b64decode(encoded)
        digest, salt = raw[:size], raw[size:]
        if not salted and salt:
            return False
        return hmac.compare_digest(digest, hashlib.new(algorithm, password + salt).digest())

    return check


def _pbkdf2(algorithm: str) -> Callable[[bytes, bytes], bool]:
    def decode(text: str) -> bytes:
        text = text.replace(".", "+")
        return base64.b64decode(text + "=" * (-len(text) % 4))

    def check(encoded: bytes, password: bytes) -> bool:
        rounds, salt, digest = encoded.decode("ascii").split("$")
        wanted = decode(digest)
        made = hashlib.pbkdf2_hmac(algorithm, password, decode(salt), int(rounds), len(wanted))
        return hmac.compare_digest(wanted, made)

    return check


@functools.cache
def _crypt_function() -> Callable[[bytes, bytes], bytes | None] | None:
    """Find the C library's crypt(3), where there is one; to look for it starts programs."""
    path = ctypes.util.find_library("crypt")
    if path is None:
        return None
    # It answers in one buffer for all threads, so that the interpreter's lock is kept.
    function = ctypes.PyDLL(path).crypt
    function.restype = ctypes.c_char_p
    function.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    return function


def _crypt(encoded: bytes, password: bytes) -> bool:
    """Ask crypt(3). A zero byte would end what it reads."""
    function = _crypt_function()
    if function is None or b"\0" in password or b"\0" in encoded:
        return False
    made = function(password, encoded)
    return made is not None and hmac.compare_digest(made, encoded)


CHECKS: dict[str, Callable[[bytes, bytes], bool]] = {
    "SSHA": _digest("sha1", True),
    "SHA": _digest("sha1", False),
    "SMD5": _digest("md5", True),
    "MD5": _digest("md5", False),
    "SSHA256": _digest("sha256", True),
    "SHA256": _digest("sha256", False),
    "SSHA384": _digest("sha384", True),
    "SHA384": _digest("sha384", False),
    "SSHA512": _digest("sha512", True),
    "SHA512": _digest("sha512", False),
    "CRYPT": _crypt,
}
