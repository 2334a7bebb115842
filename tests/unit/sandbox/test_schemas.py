"""Templates of databases: copied where they are sound and the user's own, made anew where not."""

import contextlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nova_fakes.sandbox import schemas
from nova_fakes.sandbox.schemas import SCHEMAS, Schema, SchemaCache

SCHEMA = SCHEMAS["main"]


def migrate(path: Path, value: str = "") -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE IF NOT EXISTS things (name TEXT)")
        if value:
            database.execute("INSERT INTO things VALUES (?)", (value,))


def things(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [name for (name,) in database.execute("SELECT name FROM things")]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "nova-fakes"


def provide(cache: Path | None, path: Path, value: str = "") -> bool:
    """Give a database its schema, and tell whether it took migrations."""
    with SchemaCache(cache).provided(path, SCHEMA) as missing:
        if missing:
            migrate(path, value)
    return missing


def test_the_first_is_migrated_and_the_next_are_copies(cache: Path, tmp_path: Path) -> None:
    assert provide(cache, tmp_path / "first")
    assert not provide(cache, tmp_path / "second")
    assert things(tmp_path / "second") == []
    assert (cache / SCHEMA.file).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in cache.iterdir()] == [SCHEMA.file]
    with closing(sqlite3.connect(tmp_path / "second")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_database_that_is_there_is_migrated_once_and_makes_no_template(cache: Path, tmp_path: Path) -> None:
    migrate(tmp_path / "old", "kept")
    assert provide(cache, tmp_path / "old")
    assert not cache.exists()
    assert not provide(cache, tmp_path / "old")
    assert things(tmp_path / "old") == ["kept"]


def test_what_was_changed_after_the_copy_stays_out_of_the_template(cache: Path, tmp_path: Path) -> None:
    provide(cache, tmp_path / "first")
    migrate(tmp_path / "first", "mine")
    assert not provide(cache, tmp_path / "second")
    assert things(tmp_path / "second") == []


def shorten(template: Path) -> None:
    template.write_bytes(template.read_bytes()[:-4096])


def empty(template: Path) -> None:
    template.write_bytes(b"")


def scribble(template: Path) -> None:
    template.write_bytes(b"no database" * 1000)


def unmark(template: Path) -> None:
    with closing(sqlite3.connect(template)) as database:
        database.execute("PRAGMA user_version = 0")


def open_to_others(template: Path) -> None:
    template.chmod(0o666)


def open_directory(template: Path) -> None:
    template.parent.chmod(0o777)


def link(template: Path) -> None:
    template.rename(template.with_name("elsewhere"))
    template.symlink_to("elsewhere")


@pytest.mark.parametrize("spoil", [shorten, empty, scribble, unmark, open_to_others, open_directory, link])
def test_a_template_that_cannot_be_trusted_is_not_used(
    cache: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    provide(cache, tmp_path / "first")
    spoil(cache / SCHEMA.file)
    assert provide(cache, tmp_path / "second", "own")
    assert things(tmp_path / "second") == ["own"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "first", "second"]


def test_without_a_place_for_templates_databases_are_migrated(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for directory in (None, tmp_path / "file" / "below"):
        for name in ("first", "second"):
            assert provide(directory, tmp_path / f"{directory is None}-{name}")


def test_only_so_many_templates_are_kept(cache: Path, tmp_path: Path) -> None:
    cache.mkdir(parents=True, mode=0o700)
    for number in range(2 * schemas.KEPT):
        (cache / f"{SCHEMA.name}-{number}.sqlite").touch()
    (cache / "placement-1.sqlite").touch()
    provide(cache, tmp_path / "first")
    kept = {path.name for path in cache.iterdir()}
    assert {SCHEMA.file, "placement-1.sqlite"} < kept
    assert len(kept) == schemas.KEPT + 1


def test_a_migration_that_fails_leaves_no_template(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "first"
    with contextlib.suppress(InterruptedError), SchemaCache(cache).provided(path, SCHEMA):
        migrate(path)
        raise InterruptedError
    assert path.exists()
    assert not cache.exists()
    assert provide(cache, tmp_path / "first")


def test_other_migrations_are_another_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    versions = tmp_path / "some_service" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "some_service" / "__init__.py").touch()
    digests = []
    for text in ("one", "two"):
        (versions / "first.py").write_text(text)
        digests.append(Schema("x", "some_service", "versions").digest)
    assert len(set(digests)) == 2


def test_the_installed_services_have_migrations_where_they_are_looked_for() -> None:
    nothing = Schema("nothing", "nova", "db/none").digest
    assert len({nothing, *(schema.digest for schema in SCHEMAS.values())}) == 4


def test_where_the_templates_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert schemas.default_directory() == tmp_path / "nova-fakes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert schemas.default_directory() == tmp_path / ".cache" / "nova-fakes"
