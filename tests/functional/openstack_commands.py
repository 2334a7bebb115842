"""The `openstack` command: several commands in one process, since most of its time goes into imports."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


class OpenStackShell:
    """A process that runs commands of the stock client as they come.

    :param variables: the environment by which it finds the cloud
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=environment | dict(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The program answers with what a command wrote; what comes past it is for nobody.
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> "OpenStackShell":
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def run(self, command: str) -> Outcome:
        """Run one command, without the word ``openstack`` before it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(command, file=self._process.stdin, flush=True)
        return Outcome(*json.loads(self._process.stdout.readline()))

    def do(self, command: str) -> str:
        """Run a command that must succeed, and return what it printed."""
        outcome = self.run(command)
        assert outcome.status == 0, f"openstack {command}: {outcome.errors}"
        return outcome.output

    def ask(self, command: str) -> Any:
        """Run a command that must succeed, and return its answer as data."""
        return json.loads(self.do(f"{command} -f json"))


def run_openstack(auth_url: str, user: str, *commands: str) -> list[Outcome]:
    """Run commands as that user, in the project of the same name; the password is "secret"."""
    variables = {
        "OS_AUTH_URL": auth_url,
        "OS_USERNAME": user,
        "OS_PASSWORD": "secret",
        "OS_PROJECT_NAME": user,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
    }
    with OpenStackShell(variables) as shell:
        return [shell.run(command) for command in commands]
