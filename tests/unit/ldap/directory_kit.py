"""What the tests of the LDAP directory build on."""

SUFFIX = "dc=example,dc=com"
PEOPLE = f"ou=People,{SUFFIX}"


def person(uid: str, **more: list[bytes]) -> list[tuple[str, list[bytes]]]:
    attributes = {"objectClass": [b"inetOrgPerson"], "uid": [uid.encode()], "cn": [uid.title().encode()], "sn": [b"S"]}
    return [*(attributes | more).items()]
