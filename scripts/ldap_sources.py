"""Fetch the source distributions of the installed python-ldap and ldap3 from PyPI and unpack them below build/.

Their wheels do not have their tests. Prints where they are.
"""

import sys
from importlib.metadata import version

from nova_source import unpack

PROJECTS = ("python-ldap", "ldap3")


def main() -> int:
    """Fetch, check and unpack them, unless that has been done."""
    for project in PROJECTS:
        directory = unpack(project, version(project))
        if directory is None:
            return 1
        print(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
