"""What random programs are made of: names, attributes, values and classes, of the recorded directory and wrong ones."""

SUFFIX = "dc=example,dc=com"
PEOPLE, GROUPS, DEEP = f"ou=People,{SUFFIX}", f"ou=Groups,{SUFFIX}", f"ou=Deep,{SUFFIX}"
ALICE = f"uid=alice,{PEOPLE}"

# Names of entries that there are, and of some that programs make.
ENTRIES = (
    SUFFIX, PEOPLE, GROUPS, DEEP, f"ou=Empty,{SUFFIX}", f"ou=L1,{DEEP}", f"ou=L2,ou=L1,{DEEP}",
    f"cn=leaf,ou=L2,ou=L1,{DEEP}", ALICE, ALICE, f"uid=bob,{PEOPLE}", f"uid=carol,{PEOPLE}", f"uid=dave,{PEOPLE}",
    f"uid=eve,{PEOPLE}", f"uid=frank,{PEOPLE}", f"uid=grace,{PEOPLE}", f"cn=Doe\\, John,{PEOPLE}",
    f'cn=Plus\\+Eq\\=Quote\\" #1,{PEOPLE}', f"cn=Multi+uid=multi,{PEOPLE}", f"cn=Two  Spaces,{PEOPLE}",
    f"cn=Ünïcode 日本,{PEOPLE}", f"cn=admins,{GROUPS}", f"cn=devs,{GROUPS}", f"cn=uniq,{GROUPS}", f"cn=staff,{GROUPS}",
    f"cn=role,{GROUPS}", f"cn=router,{SUFFIX}", f"uid=new,{PEOPLE}", f"cn=link,{PEOPLE}", f"cn=there,{PEOPLE}",
)  # fmt: skip

BASES = (
    "", "cn=Subschema", "dc=com", "dc=other,dc=org", "not a dn", f"xyz=1,{SUFFIX}", f"cn=a,cn=b,{PEOPLE}",
    f"uid=ghost,{PEOPLE}", f"ou=,{SUFFIX}", f"uid=alice\\,{SUFFIX}", f"uid=#0405616c696365,{PEOPLE}", f",{SUFFIX}",
    f"uidNumber=x,{PEOPLE}", f"uid=alice+uid=bob,{PEOPLE}", f"uid=x,cn=link,{PEOPLE}", f"cn=x,cn=there,{PEOPLE}",
    f"cn=admin,{SUFFIX}", "cn=monitor", f"c=usa,{SUFFIX}", f"uid=\udcff,{PEOPLE}",
)  # fmt: skip

# Of operational attributes one alone: slapd 2.5.13 dies of renaming an entry after createTimestamp.
RDNS = (
    "uid=new", "uid=new", "uid=alice", "UID=Alice", "cn=New", "cn=link", "cn=there", "cn=New+uid=new", "uid=a\\,b",
    "cn=a\\+b", "sn=N", "ou=Q", "mail=a@b.c", "uidNumber=5", "uidNumber=x", "cn=x\\20", "cn= x ", "cn=\\#x", "cn=é",
    "cn=E\u0301", "description=d", "l=Rome", "c=de", "nosuch=x", "bad", "", "uid=a,cn=b", "entryUUID=x", "cn=Multi",
    "jpegPhoto=x", "cn;lang-de=x", "userPassword=x",
    "cn=q+cn=r", "telephoneNumber=+1 2", "dc=x", "o=x", "member=cn=a", "title=t", "employeeNumber=7", "cn=\\00x",
    "preferredLanguage=de", "displayName=D", "serialNumber=1", "cn=a\\<b\\>\\;c", "cn=\\C3\\A9", "cn=\\ff",
)  # fmt: skip

VALUES: dict[str, tuple[bytes, ...]] = {
    "cn": (b"Alice Adams", b"Ally", b"Bob Brown", b"Carol  Clark", b"Doe, John", b"leaf", b"New", b"x", b"", b" ",
           "Ünïcode 日本".encode(), b"Two  Spaces", b"a\x00b", b"\xff", b"a\\b", b"(x)*"),
    "sn": (b"Adams", b"Brown", "Müller".encode(), b"HOPPER", "日本".encode(), b"N", b""),
    "uid": (b"alice", b"bob", b"new", b"NEW", b"x y", b""),
    "ou": (b"People", b"Q", b"L1", b"x"),
    "o": (b"Example Corp", b"x"),
    "dc": (b"example", b"x", "é".encode()),
    "l": (b"Paris", b"Berlin", b"x", b""),
    "st": (b"IDF",),
    "description": (b"first user", b"like*s (parens)", "naïve café".encode(), b"back\\slash", b"edge router", b"x",
                    b"X", b"  a   b ", "Straße".encode(), b""),
    "title": (b"Engineer", b"engineer", b"Senior Engineer", b"x", "Ingénieur".encode()),
    "mail": (b"alice@example.com", b"Alice.Adams@Example.COM", b"a@b", "é@x".encode(), b"", b"a b@c"),
    "telephoneNumber": (b"+1 415 555 1212", b"+1-415-555-1313", b"5551000", b"1 2-3", b"a_b", b"", b" ", b"-"),
    "givenName": (b"Alice", "François".encode(), b"x"),
    "displayName": (b"D", b"E"),
    "employeeNumber": (b"7", b"10", b"8"),
    "employeeType": (b"contractor", b"remote"),
    "preferredLanguage": (b"fr", b"de"),
    "departmentNumber": (b"10", b"20"),
    "roomNumber": (b"B 42", b"b42"),
    "initials": (b"G",),
    "uidNumber": (b"1001", b"1002", b"5", b"01", b"-1", b"x", b"", b"99999999999999999999", b"+1", b"-0", b"0"),
    "gidNumber": (b"100", b"200", b"10", b"x"),
    "homeDirectory": (b"/home/alice", b"/", "é".encode()),
    "loginShell": (b"/bin/bash", b"/bin/sh"),
    "gecos": (b"Gecos", "é".encode()),
    "shadowMax": (b"1", b"x"),
    "memberUid": (b"alice", b"Carol", b"ALICE"),
    "member": (ALICE.encode(), ALICE.upper().encode(), f"uid=bob, {PEOPLE}".encode(), b"cn=x", b"x", b"",
               f"cn=Doe\\2C John,{PEOPLE}".encode(), f"cn=Multi+uid=multi,{PEOPLE}".encode(),
               f"uid=multi+cn=Multi,{PEOPLE}".encode(), b"nosuch=x", "cn=É".encode()),
    "owner": (ALICE.encode(), b"cn=x"),
    "manager": (ALICE.encode(), f"UID=Alice, OU=people,{SUFFIX}".encode(), b"x"),
    "seeAlso": (f"uid=bob,{PEOPLE}".encode(), b"cn=a+sn=b", b"SN=b+CN=A", b"cn=a;o=b", b"cn=\"a,b\""),
    "roleOccupant": (ALICE.encode(),),
    "uniqueMember": (ALICE.encode(), b"cn=x#'01'B", b"cn=x", b"CN=X#'01'B", b"cn=x#'1'B", b"#'0'B", b"x"),
    "distinguishedName": (ALICE.encode(),),
    "name": (b"Ally", b"People", b"x"),
    "objectClass": (b"person", b"top", b"inetOrgPerson", b"posixAccount", b"PERSON", b"device", b"2.5.6.6", b"nosuch",
                    b"organizationalUnit", b"groupOfNames", b"extensibleObject", b"posixGroup", b"uidObject", b"alias",
                    b"referral", b"shadowAccount", b"subentry", b"account", b"ipHost", b""),
    "structuralObjectClass": (b"inetOrgPerson", b"person", b"device", b"nosuch"),
    "userPassword": (b"alicepw", b"x", b"{SSHA}bad", b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", b""),
    "jpegPhoto": (b"\xff\xd8\xff\xe0\x00", b"x", b"", bytes(range(0, 256, 7)) + b"\x00\xff\xfe"),
    "labeledURI": (b"http://example.com/Grace Home", b"http://x"),
    "postalAddress": (b"a$b", b"a", b"A $ b", b"a\\24b", b"a\\x", b""),
    "facsimileTelephoneNumber": (b"1$twoDimensional", b"5", b"x_", b"1$bad"),
    "preferredDeliveryMethod": (b"mhs $ telephone", b"foo", b"any"),
    "telexNumber": (b"1$de$x", b"x"),
    "x121Address": (b"12 3", b"a", b" "),
    "internationaliSDNNumber": (b"1", b"1 2"),
    "destinationIndicator": (b"a", b"a_b"),
    "postalCode": (b"75001", b"x"),
    "c": (b"de", b"DE", b"deu", b"1!"),
    "serialNumber": (b"SN-0001", b"sn-0002", b"a_b"),
    "ipHostNumber": (b"10.0.0.1", b"10.*"),
    "macAddress": (b"00:00:00:00:00:00",),
    "dnQualifier": (b"a", b"b"),
    "x500UniqueIdentifier": (b"'01'B", b"'1'B", b"01"),
    "userCertificate": (b"x", b"0\x00"),
    "searchGuide": (b"x",),
    "businessCategory": (b"x" * 300, b"y"),
    "audio": (b"x",),
    "ref": (b"ldap://other.example.org/dc=x", b"ldap://h/", b"x", b"ldap://h/cn=a??one", b"http://h/ label"),
    "aliasedObjectName": (ALICE.encode(), GROUPS.encode(), f"cn=link,{PEOPLE}".encode(), b"cn=ghost", b"x"),
    "subtreeSpecification": (b"{}", b"x"),
    "createTimestamp": (b"20200101000000Z", b"20300101000000Z", b"2020010100Z", b"x", b"20200101000000.5Z"),
    "modifyTimestamp": (b"20200101000000Z", b"29990101000000Z"),
    "creatorsName": (f"cn=admin,{SUFFIX}".encode(), b"cn=x"),
    "modifiersName": (f"CN=ADMIN,{SUFFIX}".encode(), ALICE.encode()),
    "entryUUID": (b"00000000-0000-0000-0000-000000000000", b"x"),
    "entryCSN": (b"20200101000000.000000Z#000000#000#000000", b"x"),
    "entryDN": (ALICE.encode(), SUFFIX.encode(), b"x", f"uid=x, {PEOPLE}".encode()),
    "hasSubordinates": (b"TRUE", b"FALSE", b"true", b"x"),
    "subschemaSubentry": (b"cn=Subschema", b"x"),
    "supportedLDAPVersion": (b"3",),
    "nisNetgroupTriple": (b"(a,b,c)", b"(,,)", b"a"),
    "bootParameter": (b"a=b:/c", b"x"),
    "nosuch": (b"x",),
}  # fmt: skip

ATTRIBUTES = (
    *VALUES, *("cn", "sn", "uid", "description", "title", "mail", "member", "objectClass", "uidNumber") * 3,
    "description;lang-de", "cn;lang-en", "description;x-foo", "description;lang-", "userCertificate;binary",
    "cn;binary", "2.5.4.3", "commonName", "SURNAME", "2.5.4.999", "", "a b", "cn;", "description;lang-de;lang-fr",
    "description;LANG-DE", "memberOf",
)  # fmt: skip

CLASSES = VALUES["objectClass"]

NEW: tuple[dict[str, tuple[bytes, ...]], ...] = (
    {"objectClass": (b"inetOrgPerson",), "cn": (b"New",), "sn": (b"N",)},
    {"objectClass": (b"inetOrgPerson",), "cn": (b"New",), "sn": (b"N",)},
    {"objectClass": (b"person", b"uidObject"), "cn": (b"New",), "sn": (b"N",), "uid": (b"new",)},
    {"objectClass": (b"groupOfNames",), "cn": (b"New",), "member": (ALICE.encode(), f"uid=bob,{PEOPLE}".encode())},
    {"objectClass": (b"organizationalUnit",), "ou": (b"Q",)},
    {"objectClass": (b"alias", b"extensibleObject"), "cn": (b"link",), "aliasedObjectName": (ALICE.encode(),)},
    {"objectClass": (b"alias", b"extensibleObject"), "cn": (b"link",), "aliasedObjectName": (GROUPS.encode(),)},
    {"objectClass": (b"referral", b"extensibleObject"), "cn": (b"there",), "ref": (b"ldap://other.example.org/dc=x",)},
    {"objectClass": (b"inetOrgPerson", b"extensibleObject"), "cn": (b"New",), "sn": (b"N",)},
    {"objectClass": (b"subentry", b"extensibleObject"), "cn": (b"New",), "subtreeSpecification": (b"{}",)},
    {"objectClass": (b"account", b"posixAccount"), "uid": (b"new",), "cn": (b"New",), "uidNumber": (b"5",),
     "gidNumber": (b"100",), "homeDirectory": (b"/",)},
    {"objectClass": (b"posixGroup",), "cn": (b"New",), "gidNumber": (b"5",)},
    {"objectClass": (b"country",), "c": (b"de",)},
    {"objectClass": (b"device",), "cn": (b"New",)},
    {"objectClass": (b"domain",), "dc": (b"x",)},
)  # fmt: skip

SELECTIONS: tuple[tuple[str, ...], ...] = (
    (), (), (), ("*",), ("+",), ("*", "+"), ("1.1",), ("1.1",), ("cn",), ("1.1", "cn"), ("name",), ("@person",),
    ("@extensibleObject",), ("description;lang-de",), ("description",), ("2.5.4.3", "objectclass"), ("nosuch", "cn"),
    ("entryDN",), ("hasSubordinates", "structuralObjectClass"), ("creatorsName", "modifiersName"), ("userPassword",),
    ("subschemaSubentry", "uid"), ("@nosuch",), ("uid", "+"), ("member",), ("",), ("userCertificate",), ("memberOf",),
    ("cn;lang-", "SURNAME"), ("@groupOfNames", "ref"),
)  # fmt: skip

FILTER_RULES = (
    "caseIgnoreMatch", "caseExactMatch", "caseExactIA5Match", "caseIgnoreIA5Match", "integerMatch", "2.5.13.2",
    "distinguishedNameMatch", "objectIdentifierMatch", "octetStringMatch", "telephoneNumberMatch", "nosuch",
    "numericStringMatch", "booleanMatch", "generalizedTimeMatch", "caseIgnoreOrderingMatch", "integerOrderingMatch",
    "caseIgnoreSubstringsMatch", "1.2.840.113556.1.4.803", "1.2.840.113556.1.4.804", "1.2.840.113556.1.4.1941",
    "dnSubtreeMatch", "dnOneLevelMatch", "dnSubordinateMatch", "dnSuperiorMatch", "uniqueMemberMatch", "UUIDMatch",
    "caseIgnoreListMatch", "CSNOrderingMatch", "integerFirstComponentMatch", "bitStringMatch", "wordMatch",
)  # fmt: skip

SORT_KEYS: tuple[tuple[str, str | None], ...] = (
    ("cn", "caseIgnoreOrderingMatch"), ("sn", "2.5.13.3"), ("uidNumber", None), ("cn", None),
    ("nosuch", None), ("uid", "caseExactOrderingMatch"), ("uidNumber", "integerOrderingMatch"), ("sn", "nosuch"),
    ("entryDN", None), ("mail", "caseIgnoreMatch"),
)  # fmt: skip

PASSWORDS = ((ALICE, "alicepw"), (ALICE, "x"), (f"uid=dave,{PEOPLE}", "dave pw"), (f"uid=bob,{PEOPLE}", "x"), ("", ""))
