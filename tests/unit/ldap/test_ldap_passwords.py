"""Passwords as entries hold them: who may bind with them, and who may not."""

import base64
import ctypes.util
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from directory_kit import PEOPLE

from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.options import Change, Modification
from nova_fakes.ldap.passwords import matches
from nova_fakes.ldap.results import LdapError

ANN = f"uid=ann,{PEOPLE}"
SALT = bytes(range(4))
ENCODED_SALT = base64.b64encode(SALT).rstrip(b"=").replace(b"+", b".")


def digest(algorithm: str, salt: bytes = b"") -> bytes:
    return base64.b64encode(hashlib.new(algorithm, b"secret" + salt).digest() + salt)


PBKDF2 = base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"secret", SALT, 10))
STORED = [
    b"secret",
    b"{SHA}" + digest("sha1"),
    b"{MD5}" + digest("md5"),
    b"{SSHA}" + digest("sha1", SALT),
    b"{smd5}" + digest("md5", SALT),
    b"{SSHA512}" + digest("sha512", SALT),
    b"{PBKDF2-SHA256}10$%b$%b" % (ENCODED_SALT, PBKDF2),
]


@pytest.mark.parametrize("stored", STORED)
def test_stored_passwords(directory: Directory, root: Identity, stored: bytes) -> None:
    directory.modify(root, ANN, [Modification(Change.REPLACE, "userPassword", (stored,))])
    assert directory.bind(ANN, b"secret").dn.text == ANN
    with pytest.raises(LdapError):
        directory.bind(ANN, b"other")


CRYPTED = [
    b"{CRYPT}abNANd1rDfiNc",
    b"{CRYPT}$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
    b"{crypt}$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
    b"{CRYPT}$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
]
NEEDS_CRYPT = pytest.mark.skipif(
    ctypes.util.find_library("crypt") is None, reason="there is no crypt library: apt-get install libcrypt1"
)


@NEEDS_CRYPT
@pytest.mark.parametrize("stored", CRYPTED)
def test_passwords_of_the_c_library(directory: Directory, root: Identity, stored: bytes) -> None:
    directory.modify(root, ANN, [Modification(Change.REPLACE, "userPassword", (stored,))])
    assert directory.bind(ANN, b"secret").dn.text == ANN
    for wrong in (b"other", b"secret\0more"):
        with pytest.raises(LdapError):
            directory.bind(ANN, wrong)


@NEEDS_CRYPT
def test_threads_that_ask_the_c_library_do_not_disturb_each_other() -> None:
    asked = [(stored, password) for stored in CRYPTED[1:3] for password in (b"secret", b"other")] * 100
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda pair: matches(*pair), asked))
    assert found == [password == b"secret" for _, password in asked]


@pytest.mark.parametrize(
    "stored", [b"{NOSUCH}secret", b"{SSHA}!", b"{PBKDF2}x", b"{SHA}", b"{CRYPT}", b"{CRYPT}*0", b"{CRYPT}!"]
)
def test_what_is_no_password_opens_nothing(directory: Directory, root: Identity, stored: bytes) -> None:
    directory.modify(root, ANN, [Modification(Change.REPLACE, "userPassword", (stored,))])
    with pytest.raises(LdapError):
        directory.bind(ANN, b"secret")
