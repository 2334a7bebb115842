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


def unpack(project: str, release: str) -> Path | None:
    """Fetch, check and unpack a source distribution, unless that has been done; None where PyPI has none."""
    # As old and new tools write the name of the archive.
    spelled = f"(?:{re.escape(project)}|{re.escape(project.replace('-', '_'))})-{re.escape(release)}"
    built = Path(__file__).resolve().parents[1] / "build"
    for name in (project, project.replace("-", "_")):
        if (built / f"{name}-{release}").is_dir():
            return built / f"{name}-{release}"
    page = f"{INDEX}/{project}/"
    link = re.compile(rf'href="([^"]*/({spelled})\.tar\.gz)#sha256=([0-9a-f]{{64}})"')
    found = link.search(fetch(page).decode())
    if found is None:
        print(f"{page} has no source of {project} {release}", file=sys.stderr)
        return None
    content = fetch(urllib.parse.urljoin(page, found[1]))
    if hashlib.sha256(content).hexdigest() != found[3]:
        print(f"{found[1]} is not what {page} says it is", file=sys.stderr)
        return None
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(built)
    return built / found[2]


def main() -> int:
    """Fetch nova's source and tell where it is."""
    directory = unpack("nova", version("nova"))
    if directory is None:
        return 1
    print(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
