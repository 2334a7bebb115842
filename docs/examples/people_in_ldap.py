"""A program that asks an LDAP server by python-ldap, tested on a directory of its own."""

import unittest

import fixtures
import ldap

from nova_fakes.fixtures import DirectoryFixture

PEOPLE = """\
dn: dc=example,dc=com
objectClass: domain

dn: uid=ann,dc=example,dc=com
objectClass: inetOrgPerson
cn: Ann Archer
sn: Archer
userPassword: secret
"""


def name_of(url, user, password):
    """Return a user's common name, as keystone's LDAP driver asks: bind as the user, then search."""
    connection = ldap.initialize(url)
    connection.simple_bind_s(f"uid={user},dc=example,dc=com", password)
    ((_, found),) = connection.search_s("dc=example,dc=com", ldap.SCOPE_SUBTREE, f"(uid={user})", ["cn"])
    connection.unbind_s()
    return found["cn"][0].decode()


class TestNames(fixtures.TestWithFixtures):
    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(DirectoryFixture(ldif=PEOPLE, listen=True))

    def test_the_password_opens(self):
        self.assertEqual(name_of(self.directory.url, "ann", "secret"), "Ann Archer")
        self.directory.log.assert_count(1, "bind", result="success")

    def test_another_does_not(self):
        with self.assertRaises(ldap.INVALID_CREDENTIALS):
            name_of(self.directory.url, "ann", "guess")
        self.directory.log.assert_none("search")


if __name__ == "__main__":
    unittest.main()
