"""The ledger: what this project made outside its process, written down before it is made.

An append-only file of JSON lines. `Ledger.add` writes a line before the thing is made, `Ledger.note` adds what is only
known afterwards (an inode, a process id), `Ledger.done` says that the thing is gone. Each line is one ``write()``, so a
process that is killed at any instant leaves at worst one torn last line, which the next reader cuts off. The kernel's
objects do not survive a reboot, so entries of another boot count as gone, except files and sockets.

The file is locked while it is open: whoever cleans up never races with the owner.
"""

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from types import MappingProxyType
from typing import Literal, get_args

from nova_fakes.exceptions import InvalidInput, StateInUse
from nova_fakes.lines import append

__all__ = ["KINDS", "Entry", "Kind", "Ledger", "boot_id", "start_ticks"]

Kind = Literal["namespace", "device", "process", "file", "socket"]
KINDS: tuple[str, ...] = get_args(Kind)

#: Kinds of which nothing is left after a reboot.
_VOLATILE = frozenset({"namespace", "device", "process"})
#: The file is written anew when it is opened with more than this many lines for each entry that still stands.
_COMPACT_RATIO = 4
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_QUOTE = json.encoder.encode_basestring_ascii
#: The variable by which a process that was started for an entry is recognised before its id is known.
MARK = "NOVA_FAKES_LEDGER_ENTRY"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was made: its kind, its name (a path, a device's name…) and whatever identifies it.

    `boot` is the boot in which it was made; `mark` is unique to the entry, and goes into the environment of a process
    (see `environment`) or the alias of a device.
    """

    number: int
    kind: Kind
    name: str
    boot: str
    mark: str
    attributes: Mapping[str, object]

    @property
    def environment(self) -> dict[str, str]:
        """The variables to start a process with, so that clean-up knows it even before its id was noted."""
        return {MARK: self.mark}


class Ledger:
    """A ledger, in a file or, without a path, in memory alone.

    :param path: the file; made with its directory where missing
    :raises StateInUse: another process has the ledger open
    :raises InvalidInput: a symbolic link is in its place
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = RLock()
        self._entries: dict[int, Entry] = {}
        self._next = 1
        self._boot = boot_id()
        self._token = os.urandom(6).hex()
        self._fd: int | None = None
        self._held: list[str] | None = None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = self._open(self.path)

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def add(self, kind: Kind, name: str, **attributes: object) -> Entry:
        """Write down what is about to be made.

        :param attributes: anything that JSON can carry
        :raises InvalidInput: an unknown kind, or a value that JSON cannot carry
        """
        if kind not in KINDS:
            raise InvalidInput("kind", kind, f"use one of {', '.join(KINDS)}")
        with self._lock:
            number = self._next
            entry = Entry(number, kind, name, self._boot, f"{self._token}-{number}", MappingProxyType(dict(attributes)))
            self._write(entry, _added)
            self._next += 1
            self._entries[number] = entry
            return entry

    def note(self, entry: Entry, **attributes: object) -> Entry:
        """Add attributes that became known after the thing was made; returns the entry with them."""
        with self._lock:
            merged = {**entry.attributes, **attributes}
            noted = Entry(entry.number, entry.kind, entry.name, entry.boot, entry.mark, MappingProxyType(merged))
            if entry.number in self._entries:
                self._write(noted, lambda one: f'{{"op":"note","n":{one.number},"a":{_object(attributes)}}}\n')
                self._entries[entry.number] = noted
            return noted

    def done(self, entry: Entry) -> None:
        """Write down that the thing is gone; saying so twice is no error."""
        with self._lock:
            if self._entries.pop(entry.number, None) is not None:
                self._write(entry, _done)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is said inside in one ``write()`` at its end: for things of which none is made before that.

        Other threads wait meanwhile.
        """
        with self._lock:
            if self._held is not None:
                yield
                return
            self._held, first = [], self._next
            try:
                yield
            finally:
                held, self._held = self._held, None
                if held and self._fd is not None:
                    try:
                        append(self._fd, "".join(held).encode())
                    except OSError:
                        for number in range(first, self._next):
                            self._entries.pop(number, None)
                        raise

    def entries(self, kind: Kind | None = None) -> tuple[Entry, ...]:
        """Return what still stands, oldest first."""
        with self._lock:
            return tuple(entry for entry in self._entries.values() if kind in (None, entry.kind))

    def close(self) -> None:
        """Close the file; removes it where nothing stands any more."""
        with self._lock:
            if self._fd is None:
                return
            if not self._entries and self.path is not None:
                self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> tuple[Entry, ...]:
        """Return what stands in a ledger that another process may own; nothing where there is no such file.

        :raises InvalidInput: the file is no ledger
        """
        reader = cls()
        reader.path = Path(path)
        try:
            content = reader.path.read_bytes()
        except FileNotFoundError:
            return ()
        reader._replay_lines(content[: content.rfind(b"\n") + 1])
        return reader.entries()

    def _write(self, entry: Entry, line: Callable[[Entry], str]) -> None:
        try:
            text = line(entry)
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                "attributes", dict(entry.attributes), f"JSON must be able to carry them ({error})"
            ) from None
        if self.path is None:
            return
        if self._fd is None:
            raise InvalidInput("ledger", str(self.path), "it is closed; open it anew")
        if self._held is not None:
            self._held.append(text)
            return
        # One write and no fsync: the page cache survives the process, and after a crash of the machine the kernel's
        # objects are gone with it.
        append(self._fd, text.encode())

    def _open(self, path: Path) -> int:
        while True:
            fd = _open_file(path)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                raise StateInUse(
                    f"the ledger {path} is open in another process; stop the sandbox or agent that owns it first"
                ) from None
            # The owner before us may have replaced or removed the file between our open and our lock.
            try:
                if os.stat(path).st_ino == os.fstat(fd).st_ino:
                    break
            except FileNotFoundError:
                pass
            os.close(fd)
        try:
            lines = self._load(fd)
        except BaseException:
            os.close(fd)
            raise
        if lines > _COMPACT_RATIO * (len(self._entries) + 1):
            fd = self._compact(fd, path)
        return fd

    def _load(self, fd: int) -> int:
        content = b""
        while chunk := os.read(fd, 1 << 20):
            content += chunk
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(fd, whole)  # a line that its writer did not live to finish
        return self._replay_lines(content[:whole])

    def _replay_lines(self, content: bytes) -> int:
        lines = content.splitlines()
        for raw in lines:
            try:
                self._replay(json.loads(raw))
            except (ValueError, KeyError, TypeError):
                raise InvalidInput(
                    f"ledger {self.path}", raw[:80].decode(errors="replace"), "it is no ledger line; move the file away"
                ) from None
        return len(lines)

    def _replay(self, line: dict[str, object]) -> None:
        number = line["n"]
        if not isinstance(number, int):
            raise TypeError("an entry's number is an integer")
        self._next = max(self._next, number + 1)
        if line["op"] == "add":
            kind, attributes = line["kind"], line["a"]
            if kind not in KINDS or not isinstance(attributes, dict):
                raise ValueError("unknown kind")
            boot = str(line["boot"])
            if kind in _VOLATILE and boot != self._boot:
                return
            self._entries[number] = Entry(
                number,
                kind,  # type: ignore[arg-type]  # it is one of KINDS
                str(line["name"]),
                boot,
                str(line["mark"]),
                MappingProxyType(attributes),
            )
        elif line["op"] == "note" and number in self._entries:
            entry, attributes = self._entries[number], line["a"]
            if not isinstance(attributes, dict):
                raise TypeError("attributes are an object")
            merged = MappingProxyType({**entry.attributes, **attributes})
            self._entries[number] = Entry(number, entry.kind, entry.name, entry.boot, entry.mark, merged)
        elif line["op"] == "done":
            self._entries.pop(number, None)

    def _compact(self, fd: int, path: Path) -> int:
        temporary = path.with_name(path.name + ".new")
        temporary.unlink(missing_ok=True)
        fresh = os.open(temporary, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fresh, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for entry in self._entries.values():
                append(fresh, _added(entry).encode())
            os.replace(temporary, path)
        except OSError:
            os.close(fresh)
            temporary.unlink(missing_ok=True)
            return fd  # there is no room: the long one serves as well
        os.close(fd)
        return fresh


def boot_id() -> str:
    """Return the running kernel's boot id, empty where there is none to read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None where there is no such process.

    With the boot id this tells a process from a later one of the same number (proc(5), ``starttime``).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rfind(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def _added(entry: Entry) -> str:
    # Put together by hand: the encoder of the standard library takes three times as long, for every instance.
    return (
        f'{{"op":"add","n":{entry.number},"kind":"{entry.kind}","name":{_QUOTE(entry.name)},'
        f'"boot":{_QUOTE(entry.boot)},"mark":{_QUOTE(entry.mark)},"a":{_object(entry.attributes)}}}\n'
    )


def _done(entry: Entry) -> str:
    return f'{{"op":"done","n":{entry.number}}}\n'


def _object(attributes: Mapping[str, object]) -> str:
    """Write a JSON object.

    :raises TypeError, ValueError: JSON cannot carry a value
    """
    # Text, of which there is most, without a call of ours.
    members = [
        f"{_QUOTE(key)}:{_QUOTE(value) if type(value) is str else _value(value)}" for key, value in attributes.items()
    ]
    return "{" + ",".join(members) + "}"


def _value(value: object) -> str:
    if type(value) is int:
        return str(value)
    if type(value) is bool:
        return "true" if value else "false"
    return "null" if value is None else _ENCODE(value)


def _open_file(path: Path) -> int:
    try:
        # Its directory may be another user's: a link of that name could lead anywhere.
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InvalidInput("ledger", str(path), "a symbolic link is there; remove it, or name another place") from None
