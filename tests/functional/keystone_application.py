"""Runs keystone's own WSGI application in this process and asks it for tokens.

Usage: keystone_application.py DIRECTORY LDAP_URL NAME PASSWORD...   Keeps keystone's database and keys there,
takes users from the LDAP server, and leaves in answers.json, for each password, the status, the user and whether
a token came.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from textwrap import dedent

warnings.simplefilter("ignore")

from cryptography.fernet import Fernet  # noqa: E402
from werkzeug.test import Client  # noqa: E402


def configure(directory: Path, url: str) -> Path:
    """Write keystone's configuration and the keys of its tokens."""
    keys = directory / "keys"
    keys.mkdir()
    for number in range(2):
        (keys / str(number)).write_bytes(Fernet.generate_key())
    path = directory / "keystone.conf"
    path.write_text(
        dedent(
            f"""\
            [database]
            connection = sqlite:///{directory}/keystone.sqlite
            [fernet_tokens]
            key_repository = {keys}
            [fernet_receipts]
            key_repository = {keys}
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
            group_tree_dn = ou=Groups,dc=example,dc=com
            group_objectclass = groupOfNames
            """
        )
    )
    return path


def main(directory: str, url: str, name: str, *passwords: str) -> int:
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(configure(Path(directory), url))
    from keystone.common import provider_api
    from keystone.common.sql import upgrades
    from keystone.server.flask import core

    sys.argv = ["keystone"]
    application = core.initialize_application(name="public", config_files=core._get_config_files())
    upgrades.offline_sync_database_to_version()
    domain = {"id": "default", "name": "Default", "enabled": True}
    provider_api.ProviderAPIs.resource_api.create_domain("default", domain)
    client = Client(application)
    answers = []
    for password in passwords:
        user = {"name": name, "domain": {"id": "default"}, "password": password}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        answer = client.post("/v3/auth/tokens", json=body)
        found = (answer.get_json() or {}).get("token", {}).get("user", {})
        answers.append(
            {"status": answer.status_code, "user": found.get("name"), "token": "X-Subject-Token" in answer.headers}
        )
    Path(directory, "answers.json").write_text(json.dumps(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
