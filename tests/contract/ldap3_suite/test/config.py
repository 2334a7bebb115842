"""What ldap3's own tests have to know: where the server is, how to connect, and how entries are made and taken away.

The address comes from the environment. The server is told to be a slapd, as in ldap3's own set-up for it.
"""

import os
from random import SystemRandom
from typing import Any

from ldap3 import (
    AUTO_BIND_DEFAULT,
    IP_V4_ONLY,
    ROUND_ROBIN,
    SCHEMA,
    SIMPLE,
    SYNC,
    Connection,
    Server,
)

test_server = os.environ.get("LDAP3_HOST", "127.0.0.1")
test_port = int(os.environ.get("LDAP3_PORT", "389"))
test_port_ssl = int(os.environ.get("LDAP3_PORT_SSL", "636"))
test_server_type = "SLAPD"
test_strategy = SYNC
test_server_mode = IP_V4_ONLY
test_authentication = SIMPLE
test_get_info = SCHEMA
test_check_names = True
test_lazy_connection = False
test_auto_escape = test_auto_encode = True
test_validator = None
test_internal_decoder = True
test_pooling_strategy, test_pooling_active, test_pooling_exhaust = ROUND_ROBIN, 20, 15
test_user, test_password = "cn=admin,o=test", "secret"
test_secondary_user, test_secondary_password = "cn=second,o=test", "second"
test_user_password = "Rc2597pfop"
test_base, test_moved = "ou=fixtures,o=test", "ou=moved,o=test"
test_root_partition = "o=test"
test_name_attr, test_int_attr = "cn", "gidNumber"
test_multivalued_attribute, test_singlevalued_attribute = "givenName", "preferredLanguage"
test_server_context = test_server_edir_name = ""
test_sasl_realm = test_sasl_user = test_sasl_user_dn = test_sasl_password = None
test_sasl_secondary_user = test_sasl_secondary_user_dn = test_sasl_secondary_password = None
test_ntlm_user = test_ntlm_password = None
test_ca_cert_file = test_user_cert_file = test_user_key_file = ""
test_valid_names = [test_server]
NUMBERS = SystemRandom()


def random_id() -> str:
    return f"[{NUMBERS.randrange(10**7, 10**8)}]"


def generate_dn(base: str, batch_id: str, username: str) -> str:
    return f"{test_name_attr}={batch_id}{username},{base}"


def get_connection(
    bind: bool | None = None,
    use_ssl: bool = False,
    check_names: bool | None = None,
    lazy_connection: bool | None = None,
    authentication: Any = None,
    simple_credentials: tuple[Any, Any] = (None, None),
    get_info: Any = None,
    **other: Any,
) -> Connection:
    port = test_port_ssl if use_ssl else test_port
    server = Server(test_server, port=port, use_ssl=use_ssl, get_info=get_info or test_get_info, mode=test_server_mode)
    method = authentication or test_authentication
    name, password = simple_credentials if simple_credentials[0] else (test_user, test_password)
    made = Connection(
        server,
        auto_bind=AUTO_BIND_DEFAULT,
        client_strategy=test_strategy,
        user=name if method == SIMPLE else None,
        password=password if method == SIMPLE else None,
        authentication=method,
        lazy=test_lazy_connection if lazy_connection is None else lazy_connection,
        pool_name="pool1",
        check_names=test_check_names if check_names is None else check_names,
        auto_escape=test_auto_escape,
        auto_encode=test_auto_encode,
    )
    if bind is None or bind:
        made.open()
        made.bind()
    return made


def drop_connection(connection: Connection, dns: list[Any] | None = None) -> None:
    for dn, _ in dns or []:
        if not connection.bound:
            connection.bind()
        connection.delete(dn)
    connection.unbind()


def get_response_values(result: Any, connection: Connection) -> tuple[Any, Any, Any, Any]:
    return result, connection.result, connection.response, connection.request


def get_add_user_attributes(
    batch_id: str, username: str, password: str | None = None, attributes: dict[str, Any] | None = None
) -> dict[str, Any]:
    made: dict[str, Any] = {"objectClass": ["inetOrgPerson", "posixAccount", "top"], "sn": username}
    if attributes is None or "objectClass" not in attributes:
        made |= {"uid": username, "uidNumber": "1000", "gidNumber": "0", "homeDirectory": "/home/none"}
    if password is not None:
        made["userPassword"] = password
    return {**made, **(attributes or {})}


def add_user(
    connection: Connection,
    batch_id: str,
    username: str,
    password: str | None = None,
    attributes: dict[str, Any] | None = None,
    test_bytes: bool = False,
) -> tuple[str, Any]:
    dn = generate_dn(test_base, batch_id, username)
    made = get_add_user_attributes(batch_id, username, password or test_user_password, attributes)
    if test_bytes:
        made = {name: _as_bytes(value) for name, value in made.items()}
    return _added(connection, dn, made)


def _as_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_bytes(one) for one in value]
    return value.encode() if isinstance(value, str) else value


def _added(connection: Connection, dn: str, attributes: dict[str, Any]) -> tuple[str, Any]:
    connection.add(dn, None, attributes)
    if connection.result["description"] != "success":
        raise AssertionError(f"{dn} was not added: {connection.result}")
    return dn, connection.result


def add_group(
    connection: Connection, batch_id: str, groupname: str, members: list[Any] | None = None
) -> tuple[str, Any]:
    dn = generate_dn(test_base, batch_id, groupname)
    listed = [member for member, _ in members or []] or [test_user]
    return _added(connection, dn, {"objectClass": ["groupOfNames"], "member": listed})
