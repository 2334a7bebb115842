"""A real keystone, whose users are in our directory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.ldif import load
from nova_fakes.ldap.server import Server

pytest.importorskip("keystone", reason="needs keystone")
pytest.importorskip("ldappool", reason="needs keystone with its extra `ldap`")

APPLICATION = Path(__file__).with_name("keystone_application.py")
PEOPLE = """\
dn: dc=example,dc=com
objectClass: domain

dn: ou=People,dc=example,dc=com
objectClass: organizationalUnit

dn: ou=Groups,dc=example,dc=com
objectClass: organizationalUnit

dn: uid=ann,ou=People,dc=example,dc=com
objectClass: inetOrgPerson
cn: Ann Archer
sn: Archer
userPassword: {SSHA}A2r1xnUpsdGN2VDG4mMnXqDfO7tWWxXR
"""
DEADLINE_S = 180


@pytest.mark.slow
@pytest.mark.timeout(DEADLINE_S + 30)
def test_keystone_gives_a_user_of_the_directory_a_token(tmp_path):
    directory = Directory()
    load(directory, PEOPLE)
    directory.change_password(directory.identity(directory.root_dn), "uid=ann,ou=People,dc=example,dc=com", None, b"s3")
    with Server(directory) as server:
        command = [sys.executable, str(APPLICATION), str(tmp_path), server.urls[0], "ann", "s3", "wrong"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    accepted, refused = json.loads((tmp_path / "answers.json").read_text())
    assert accepted == {"status": 201, "user": "ann", "token": True}
    assert refused == {"status": 401, "user": None, "token": False}
