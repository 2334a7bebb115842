"""The `openstack` command: several commands in one process, since most of its time goes into imports."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

# What the console script does, once per line of standard input.
PROGRAM = """
import contextlib, io, json, shlex, sys
from openstackclient.shell import main

for line in sys.stdin:
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = main(shlex.split(line))
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, output.getvalue(), errors.getvalue()]), flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    status: int
    output: str
    errors: str


def run_openstack(auth_url: str, user: str, *commands: str) -> list[Outcome]:
    """Run commands as that user, in the project of the same name; the password is "secret"."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")} | {
        "OS_AUTH_URL": auth_url,
        "OS_USERNAME": user,
        "OS_PASSWORD": "secret",
        "OS_PROJECT_NAME": user,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(commands),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [Outcome(*json.loads(line)) for line in done.stdout.splitlines()]
