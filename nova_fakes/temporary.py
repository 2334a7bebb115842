"""Directories that live as long as their process, and are found again after it was killed.

Each lies in a directory of its kind. A lock file next to it is held for as long as its owner lives; a lock file that
nobody holds tells of an owner that was killed.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from nova_fakes.exceptions import StateInUse

__all__ = ["KINDS", "TemporaryDirectory", "home", "reclaim"]

#: What has directories of its own among the machine's temporary ones.
KINDS = ("fixtures", "images", "volumes")
_LOCK = ".lock"


def home(kind: str) -> Path:
    """Return the directory of this user's temporary directories of one of `KINDS`; it is not made.

    It is where ``tempfile`` makes its own. What somebody else has there under its name is passed over.
    """
    base = Path(tempfile.gettempdir(), f"nova-fakes-{kind}-{os.geteuid()}")
    others = (base.with_name(f"{base.name}-{number}") for number in itertools.count(1))
    return next(path for path in itertools.chain((base,), others) if _may_be_ours(path))


def _may_be_ours(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


class TemporaryDirectory:
    """One directory, from before it is made until it is removed or kept. Usable as a context manager.

    :param parent: the directory of all of its kind; made where it is missing
    """

    def __init__(self, parent: Path) -> None:
        self._lock = -1
        self._finalizer: weakref.finalize | None = None  # type: ignore[type-arg]
        while self._lock < 0:
            parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Short: the path of a unix socket in it has room for 107 bytes.
            self.path = parent / secrets.token_hex(4)
            self._lock_path = self.path.with_name(self.path.name + _LOCK)
            self._lock = _lock(self._lock_path, os.O_CREAT | os.O_EXCL)
        os.pwrite(self._lock, _here(), 0)
        self.path.mkdir(mode=0o700)

    @classmethod
    def of_kind(cls, kind: str) -> TemporaryDirectory:
        """Make one of `KINDS`, after removing those of killed processes: they are files alone, nothing elsewhere.

        It goes with this object, or with the process.
        """
        parent = home(kind)
        for _path in reclaim(parent):
            pass
        made = cls(parent)
        made._finalizer = weakref.finalize(made, _discard, made.path, made._lock_path, made._lock)
        return made

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the directory and the lock.

        :raises OSError: something in it cannot be removed; the next of the kind is told of it as of an abandoned one
        """
        if self.path.exists():
            shutil.rmtree(self.path)
        self.release()

    def release(self) -> None:
        """Give the directory up to the user, who keeps it: nobody takes it for an abandoned one."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self._lock_path.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        _remove_if_empty(self._lock_path.parent)


def reclaim(parent: Path, clear: Callable[[Path], object] | None = None) -> Iterator[Path]:
    """Remove the directories of a kind whose owners were killed, and yield their paths.

    :param clear: removes first what one's owner made elsewhere; where it raises `StateInUse` the directory stays, as it
        does where its owner lived in other namespaces: what it made is not to be seen from here
    """
    for lock_path in sorted(parent.glob("*" + _LOCK)):
        lock = _lock(lock_path, 0)
        if lock < 0:
            continue
        try:
            path = lock_path.with_name(lock_path.name.removesuffix(_LOCK))
            if path.is_dir():
                if clear is not None:
                    if os.pread(lock, 4096, 0) not in (b"", _here()):
                        continue
                    clear(path)
                shutil.rmtree(path)
                yield path
            lock_path.unlink(missing_ok=True)
        except StateInUse:
            continue  # what it started is still coming up, and will find that nobody waits for it
        finally:
            os.close(lock)
    _remove_if_empty(parent)


def _discard(path: Path, lock_path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    lock_path.unlink(missing_ok=True)
    os.close(lock)
    _remove_if_empty(lock_path.parent)


def _here() -> bytes:
    """Return which namespaces this process is in, as `/proc` tells."""
    return " ".join(os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt", "pid")).encode()


def _lock(path: Path, flags: int) -> int:
    """Open and lock the file; return its descriptor, or -1 where somebody holds it, made it first or removed it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    except (FileExistsError, FileNotFoundError):
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    # Whoever looks for abandoned directories may have removed the file between the two calls.
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return -1
    return descriptor


def _remove_if_empty(parent: Path) -> None:
    try:
        parent.rmdir()
    except OSError:
        return  # others have theirs in it, or it is gone already
