"""Databases with the newest schema of the installed nova and placement, migrated once and copied from then on.

Their migrations are hundreds of statements, the same for every sandbox: what comes of them is kept in the user's cache
as a SQLite file, and a new database is a copy of it. A template's name tells the migrations that made it, so another
nova has others. Whatever is wrong with the cache, the migrations run as ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import mkstemp

__all__ = ["SCHEMAS", "Schema", "SchemaCache", "default_directory"]

#: Of one schema are kept: other versions of nova may be in use beside this one.
KEPT = 4


def default_directory() -> Path | None:
    """Return ``$XDG_CACHE_HOME/nova-fakes``, else ``~/.cache/nova-fakes``; None where the user has no home."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "nova-fakes"
    except RuntimeError:
        return None


@dataclass(frozen=True)
class Schema:
    """What one chain of migrations makes.

    :param name: for its templates
    :param package: that has them
    :param directory: of the migrations, in the package
    """

    name: str
    package: str
    directory: str

    @cached_property
    def digest(self) -> str:
        """What tells it from that of another version, in hexadecimal: the migrations, and what carries them out."""
        spec = importlib.util.find_spec(self.package)
        assert spec is not None
        assert spec.origin is not None
        found = hashlib.sha256(repr([version("sqlalchemy"), version("alembic"), sqlite3.sqlite_version]).encode())
        for script in sorted((Path(spec.origin).parent / self.directory).glob("*.py")):
            found.update(f"{script.name}\0{script.stat().st_size}\0".encode() + script.read_bytes())
        return found.hexdigest()

    @property
    def file(self) -> str:
        """The name of its template."""
        return f"{self.name}-{self.digest[:32]}.sqlite"

    @property
    def mark(self) -> int:
        """What stands in the ``user_version`` of a database that has it; never 0."""
        return int(self.digest[:7], 16) | 1


#: By the names that :class:`SchemaCache` takes.
SCHEMAS = {
    "api": Schema("nova-api", "nova", "db/api/migrations/versions"),
    "main": Schema("nova-main", "nova", "db/main/migrations/versions"),
    "placement": Schema("placement", "placement", "db/sqlalchemy/alembic/versions"),
}


class SchemaCache:
    """Templates of databases in a directory that is the user's own.

    :param directory: made when the first one is kept; None, or one that cannot be used: nothing is kept
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def provided(self, path: Path, schema: Schema) -> Iterator[bool]:
        """Give a database the newest schema; the body is told whether it has to run the migrations.

        :param path: the file. Where it is missing and there is a template, it is a copy of that
        """
        missing = not path.exists()
        if self._has(path, schema) or (missing and self._copy(path, schema)):
            yield False
            return
        yield True
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute(f"PRAGMA user_version = {schema.mark}")
            if missing and self._directory is not None:
                with contextlib.suppress(OSError):
                    self._keep(database, self._directory, schema)

    def _has(self, path: Path, schema: Schema) -> bool:
        return path.exists() and _mark(path) == schema.mark

    def _copy(self, path: Path, schema: Schema) -> bool:
        """Make a database from the template; tell whether there was one that is sound."""
        if self._directory is None:
            return False
        template = self._directory / schema.file
        if not _is_private(self._directory) or not _is_private(template):
            return False
        with _beside(path) as copy:
            shutil.copyfile(template, copy)
            if _mark(copy) != schema.mark:
                return False
            copy.replace(path)
        return True

    @staticmethod
    def _keep(database: sqlite3.Connection, directory: Path, schema: Schema) -> None:
        """Make a database that has nothing but the schema the template."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_private(directory):
            return
        with _beside(directory / schema.file) as copy:
            with contextlib.closing(sqlite3.connect(copy)) as template:
                database.backup(template)
            copy.replace(directory / schema.file)
        known = sorted(directory.glob(f"{schema.name}-*.sqlite"), key=lambda path: path.stat().st_mtime)
        for path in known[:-KEPT]:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give an empty private file to be renamed to the path; it is gone at the end where it was not."""
    descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _is_private(path: Path) -> bool:
    """Tell whether a path is the user's, and nobody else may change it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode) and not found.st_mode & 0o022


def _mark(path: Path) -> int:
    """Return the ``user_version`` of a database; 0 where it is not sound."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            (sound,) = database.execute("PRAGMA quick_check(1)").fetchone()
            (mark,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error:
        return 0
    return int(mark) if sound == "ok" else 0
