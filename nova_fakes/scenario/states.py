"""State directories of demos: made for one run, and found again after the run was killed.

A demo's directory lies beside the default state directory, in a directory of its own, and a lock file next to it is
held for as long as the demo lives. A lock file that nobody holds tells of a demo that was killed: its sandbox is
stopped, what its ledger names is removed, and then the directory.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from nova_fakes.exceptions import NotRunning, StateInUse
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["TemporaryState", "demos_directory", "reclaim_abandoned"]

_LOCK = ".lock"


def demos_directory(default_state: Path) -> Path:
    """Return the directory in which demos make theirs."""
    return default_state.with_name(default_state.name + "-demos")


class TemporaryState:
    """One demo's state directory, from before it is made until it is removed or kept.

    :param demos: the directory of all demos; made where it is missing
    """

    def __init__(self, demos: Path) -> None:
        demos.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = -1
        while self._lock < 0:
            # Short: the path of a unix socket in it has room for 107 bytes.
            self.path = demos / secrets.token_hex(4)
            self._lock_path = self.path.with_name(self.path.name + _LOCK)
            self._lock = _lock(self._lock_path, os.O_CREAT | os.O_EXCL)
        self.path.mkdir(mode=0o700)

    def remove(self) -> None:
        """Remove the directory and the lock."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Give the directory up to the user, who keeps it: no later command takes it for an abandoned one."""
        self._lock_path.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        _remove_if_empty(self._lock_path.parent)


def reclaim_abandoned(sandboxes: Sandboxes) -> list[Path]:
    """Stop and remove what killed demos left; return the state directories that were removed."""
    return list(_reclaim(sandboxes, demos_directory(sandboxes.default_state())))


def _reclaim(sandboxes: Sandboxes, demos: Path) -> Iterator[Path]:
    for lock_path in sorted(demos.glob("*" + _LOCK)):
        lock = _lock(lock_path, 0)
        if lock < 0:
            continue
        path = lock_path.with_name(lock_path.name.removesuffix(_LOCK))
        if path.is_dir():
            try:
                sandboxes.client(path).down()
            except NotRunning:
                pass
            try:
                sandboxes.cleanup(path)
            except StateInUse:
                # Its daemon is still starting, and will find that nobody waits for it.
                os.close(lock)
                continue
            shutil.rmtree(path)
            yield path
        lock_path.unlink(missing_ok=True)
        os.close(lock)
    _remove_if_empty(demos)


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
    # Whoever looks for abandoned demos may have removed the file between the two calls.
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return -1
    return descriptor


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        # Other demos have theirs in it, or it is gone already.
        return
