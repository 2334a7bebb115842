"""Fetch the source distribution of the installed nova from PyPI and unpack it below build/; print where it is.

Its tests of API and notification samples compare with files that the wheel does not have.
"""

import hashlib
import io
import os
import re
import sys
import tarfile
import urllib.parse
import urllib.request
from importlib.metadata import version
from pathlib import Path

INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
DEADLINE_S = 120


def fetch(url: str) -> bytes:
    """Return what an address has."""
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
        return bytes(answer.read())


def main() -> int:
    """Fetch, check and unpack it, unless that has been done."""
    name = f"nova-{version('nova')}"
    directory = Path(__file__).resolve().parents[1] / "build" / name
    if not directory.is_dir():
        page = f"{INDEX}/nova/"
        link = re.compile(rf'href="([^"]*/{re.escape(name)}\.tar\.gz)#sha256=([0-9a-f]{{64}})"')
        found = link.search(fetch(page).decode())
        if found is None:
            print(f"{page} has no {name}.tar.gz", file=sys.stderr)
            return 1
        content = fetch(urllib.parse.urljoin(page, found[1]))
        if hashlib.sha256(content).hexdigest() != found[2]:
            print(f"{found[1]} is not what {page} says it is", file=sys.stderr)
            return 1
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(directory.parent)
    print(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
