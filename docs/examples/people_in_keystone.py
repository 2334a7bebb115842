"""A keystone whose users are in an LDAP directory: it gives tokens for their passwords."""

import importlib.util
import os
import sys
import unittest
from pathlib import Path

import fixtures

from nova_fakes.fixtures import DirectoryFixture

MISSING = [name for name in ("keystone", "ldappool") if importlib.util.find_spec(name) is None]
PEOPLE = """\
dn: dc=example,dc=com
objectClass: domain

dn: ou=People,dc=example,dc=com
objectClass: organizationalUnit

dn: uid=ann,ou=People,dc=example,dc=com
objectClass: inetOrgPerson
cn: Ann Archer
sn: Archer
userPassword: secret
"""
KEYSTONE_CONF = """\
[DEFAULT]
log_file = {directory}/keystone.log
[database]
connection = sqlite:///{directory}/keystone.sqlite
[fernet_tokens]
key_repository = {directory}
[fernet_receipts]
key_repository = {directory}
[identity]
driver = ldap
[ldap]
url = {url}
user = cn=admin,dc=example,dc=com
password = secret
suffix = dc=example,dc=com
user_tree_dn = ou=People,dc=example,dc=com
user_objectclass = inetOrgPerson
user_id_attribute = uid
user_name_attribute = uid
"""


def make_keystone(directory, url):
    """Return keystone's WSGI application, with an empty database."""
    from cryptography.fernet import Fernet

    for number in range(2):
        Path(directory, str(number)).write_bytes(Fernet.generate_key())
    Path(directory, "keystone.conf").write_text(KEYSTONE_CONF.format(directory=directory, url=url))
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = f"{directory}/keystone.conf"
    sys.argv = ["keystone"]

    from keystone.common import provider_api
    from keystone.common.sql import upgrades
    from keystone.server.flask import core

    application = core.initialize_application(name="public", config_files=core._get_config_files())
    upgrades.offline_sync_database_to_version()
    domain = {"id": "default", "name": "Default", "enabled": True}
    provider_api.ProviderAPIs.resource_api.create_domain("default", domain)
    return application


@unittest.skipIf(MISSING, f"needs keystone with its extra `ldap`: {', '.join(MISSING)}")
class TestTokens(fixtures.TestWithFixtures):
    def test_a_user_of_the_directory_gets_a_token(self):
        from werkzeug.test import Client

        people = self.useFixture(DirectoryFixture(ldif=PEOPLE, listen=True))
        client = Client(make_keystone(self.useFixture(fixtures.TempDir()).path, people.url))
        for password, status in (("secret", 201), ("guess", 401)):
            user = {"name": "ann", "domain": {"id": "default"}, "password": password}
            identity = {"methods": ["password"], "password": {"user": user}}
            answer = client.post("/v3/auth/tokens", json={"auth": {"identity": identity}})
            self.assertEqual(answer.status_code, status, answer.text)
        self.assertIn("uid=ann", str(people.log))


if __name__ == "__main__":
    unittest.main()
