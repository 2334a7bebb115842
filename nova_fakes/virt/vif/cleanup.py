"""Remove what a ledger names and what is still ours; nothing is ever found by the look of its name.

For a run that could not clean up itself. An entry is taken for ours where what identifies it still holds: the inode of
a namespace or file, the alias of a device, the start time or the environment of a process. Whatever has changed hands
is left alone and reported.
"""

import os
import select
import shutil
import signal
import stat
from dataclasses import dataclass
from pathlib import Path

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif import namespaces, netlink
from nova_fakes.virt.vif.bridges import delete
from nova_fakes.virt.vif.ledger import MARK, Entry, Ledger, start_ticks
from nova_fakes.virt.vif.switch import PORT_MARK, Detachment, Switch

__all__ = ["Cleaned", "cleanup", "process_of"]

#: How long a process may take to end by itself before it is killed.
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a clean-up did: entries whose things are gone now, and entries left standing with the reason."""

    removed: tuple[Entry, ...]
    kept: tuple[tuple[Entry, str], ...]


def cleanup(ledger: Ledger, *, grace_s: float = _GRACE_S) -> Cleaned:
    """Remove everything that the ledger names, newest first, and strike it off.

    Processes go first, because they may hold the rest; then namespaces, which take their interfaces with them.

    :param grace_s: seconds that a process gets between SIGTERM and SIGKILL
    """
    removed: list[Entry] = []
    kept: list[tuple[Entry, str]] = []
    _end_processes(ledger, grace_s, removed, kept)
    unreachable = _ports(ledger)
    for kind, remove in (("namespace", _namespace), ("device", _device), ("socket", _file), ("file", _file)):
        for entry in reversed([entry for entry in ledger.entries() if entry.kind == kind]):
            try:
                if entry.attributes.get("switch") in unreachable:
                    raise RealizerError(unreachable[str(entry.attributes["switch"])])
                remove(entry)
            except (OSError, RealizerError) as error:
                kept.append((entry, str(error)))
                continue
            removed.append(entry)
            ledger.done(entry)
    return Cleaned(tuple(removed), tuple(kept))


def _ports(ledger: Ledger) -> dict[str, str]:
    """Take the ledger's ports off switches that are not ours, each switch's in one transaction.

    :returns: why the ports of a switch are still there, by its socket
    """
    marks: dict[str, set[str]] = {}
    for entry in ledger.entries("device"):
        if "switch" in entry.attributes:
            marks.setdefault(str(entry.attributes["switch"]), set()).add(entry.mark)
    failed = {}
    for socket, ours in marks.items():
        switch = Switch(socket)
        try:
            rows = [row for row in switch.ports().values() if row.external_ids.get(PORT_MARK) in ours]
            switch.change((), [Detachment(row.name, row.external_ids[PORT_MARK]) for row in rows])
        except RealizerError as error:
            failed[socket] = str(error)
    return failed


def _end_processes(ledger: Ledger, grace_s: float, removed: list[Entry], kept: list[tuple[Entry, str]]) -> None:
    waiting: dict[int, tuple[int, Entry]] = {}
    poll = select.poll()
    for entry in reversed(ledger.entries("process")):
        pid = process_of(entry)
        descriptor = None if pid is None else _descriptor(pid, entry)
        if descriptor is None:
            removed.append(entry)
            ledger.done(entry)
            continue
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            os.close(descriptor)
            kept.append((entry, f"process {pid} belongs to another user: {error}"))
            continue
        poll.register(descriptor, select.POLLIN)
        waiting[descriptor] = (pid or 0, entry)
    for last in (False, True):
        while waiting and (ended := poll.poll(grace_s * 1000)):
            for descriptor, _event in ended:
                _pid, entry = waiting.pop(descriptor)
                poll.unregister(descriptor)
                os.close(descriptor)
                removed.append(entry)
                ledger.done(entry)
        for descriptor, (pid, entry) in waiting.items():
            if last:
                kept.append((entry, f"process {pid} does not end, even by SIGKILL"))
                os.close(descriptor)
                continue
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            except ProcessLookupError:
                pass


def _descriptor(pid: int, entry: Entry) -> int | None:
    """Hold on to a process, so that a later one with its number cannot be hit; None where it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if process_of(entry) != pid:  # it ended before we held it
        os.close(descriptor)
        return None
    return descriptor


def process_of(entry: Entry) -> int | None:
    """Return the id of the entry's process where it still runs: by its noted id and start time, or by its mark."""
    pid, started = entry.attributes.get("pid"), entry.attributes.get("start_ticks")
    if isinstance(pid, int):
        now = start_ticks(pid)
        return pid if now is not None and started in (None, now) else None
    needle = f"{MARK}={entry.mark}".encode()
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit() or int(directory.name) == os.getpid():
            continue
        try:
            if needle in (directory / "environ").read_bytes().split(b"\0"):
                return int(directory.name)
        except OSError:
            continue  # it ended, or it is another user's and so not ours
    return None


def _namespace(entry: Entry) -> None:
    noted, there = entry.attributes.get("inode"), namespaces.inode(entry.name)
    if there is not None and noted is not None and noted != there:
        raise RealizerError(f"{entry.name} is another namespace by now")
    if there is None and os.path.exists(entry.name) and os.path.getsize(entry.name) > 0:
        raise RealizerError(f"{entry.name} is an ordinary file by now")
    namespaces.remove(entry.name)


def _device(entry: Entry) -> None:
    within = entry.attributes.get("within")
    if within is not None:
        return  # it went with the fabric's namespace, which is an entry of its own
    with netlink.Socket() as socket:
        link = socket.link(entry.name)
        if link is None:
            return
        if link.alias != entry.mark:
            raise RealizerError(f"{entry.name} is another device by now")
        delete(socket, entry.name)


def _file(entry: Entry) -> None:
    try:
        status = os.lstat(entry.name)
    except FileNotFoundError:
        return
    noted = entry.attributes.get("inode")
    if noted is not None and noted != status.st_ino:
        raise RealizerError(f"{entry.name} is another file by now")
    if entry.kind == "socket" and not stat.S_ISSOCK(status.st_mode):
        raise RealizerError(f"{entry.name} is no socket by now")
    if stat.S_ISDIR(status.st_mode):
        if not entry.attributes.get("directory"):
            raise RealizerError(f"{entry.name} is a directory by now")
        shutil.rmtree(entry.name)
    else:
        os.unlink(entry.name)
