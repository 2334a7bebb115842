"""The leak check: what a sandbox had made on this machine, and what of it is still there afterwards.

The sandbox is not asked. Namespaces are read from the mounts of its process, devices from the kernel, processes from
/proc, files from the disk; the ledger is one more thing that has to be empty in the end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_fakes.virt.vif.ledger import Ledger, start_ticks

if TYPE_CHECKING:
    from nova_fakes.sandbox.client import Client

__all__ = ["Footprint", "Leaks", "mounted_namespaces", "processes_of"]

# mountinfo writes a blank in a path as \040 (proc_pid_mountinfo(5)).
_ESCAPE = re.compile(r"\\([0-7]{3})")
_FILE_KINDS = ("file", "socket")


@dataclass(frozen=True, slots=True)
class Leaks:
    """What the check found.

    :param made: how many things of each kind the sandbox had made
    :param left: what is still there, each told as "kind name"
    """

    made: dict[str, int]
    left: tuple[str, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Return the finding as what json.dumps takes."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Everything that a running sandbox has on this machine.

    :param namespaces: mount points of network namespaces
    :param devices: network interfaces in the machine's own namespace that the ledger names
    :param processes: (process id, start time in clock ticks) of the daemon and its descendants
    :param files: paths outside the state directory that the ledger names
    """

    state: Path
    namespaces: frozenset[str]
    devices: frozenset[str]
    processes: frozenset[tuple[int, int]]
    files: frozenset[str]
    ledger: frozenset[tuple[str, str]]

    @classmethod
    def take(cls, client: Client, state: Path) -> Footprint:
        """Look at a sandbox that runs."""
        daemon = int(client.status()["pid"])
        entries = [(entry.kind, entry.name) for entry in client.ledger()]
        ours = {str(instance["namespace"]) for instance in client.instances() if instance["namespace"] is not None}
        named = {name for kind, name in entries if kind == "namespace"}
        namespaces = {
            path for path in mounted_namespaces(daemon) if path in ours or path in named or Path(path).name in named
        }
        return cls(
            state=state,
            namespaces=frozenset(namespaces),
            devices=frozenset(name for kind, name in entries if kind == "device"),
            processes=frozenset(processes_of(daemon)),
            files=frozenset(name for kind, name in entries if kind in _FILE_KINDS),
            ledger=frozenset(entries),
        )

    def left(self, *, state_stays: bool) -> Leaks:
        """Look again after the sandbox has ended.

        :param state_stays: the state directory is the user's, and may stay; its sockets and mounts may not
        """
        made = {
            "namespaces": len(self.namespaces),
            "devices": len(self.devices),
            "processes": len(self.processes),
            "files": len(self.files) + 1,
            "ledger entries": len(self.ledger),
        }
        return Leaks(made, tuple(self._left(state_stays)))

    def _left(self, state_stays: bool) -> Iterator[str]:
        mounted = set(mounted_namespaces(os.getpid()))
        for path in sorted(self.namespaces):
            if path in mounted or os.path.lexists(path):
                yield f"namespace {path}"
        for name in sorted(self.devices & set(os.listdir("/sys/class/net"))):
            yield f"device {name}"
        for pid, started in sorted(self.processes):
            if start_ticks(pid) == started:
                yield f"process {pid}"
        for pid in processes_naming(self.state):
            yield f"process {pid}, whose command line names the state directory"
        for path in sorted(self.files):
            if os.path.lexists(path):
                yield f"file {path}"
        yield from self._left_in_state(state_stays)

    def _left_in_state(self, state_stays: bool) -> Iterator[str]:
        if not self.state.exists():
            return
        if not state_stays:
            yield f"file {self.state}"
        for path in self.state.rglob("*"):
            if path.is_socket():
                yield f"file {path}"
        ledger = self.state / "ledger"
        if ledger.exists():
            with Ledger(ledger) as opened:
                entries = opened.entries()
            for entry in entries:
                yield f"ledger entry {entry.kind} {entry.name}"


def mounted_namespaces(pid: int) -> list[str]:
    """Return the mount points of the network namespaces that a process sees; none where it is gone."""
    try:
        text = Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        # id, parent, device, root, mount point, options, optional fields, "-", type, source (proc_pid_mountinfo(5)).
        fields = line.split()
        if fields[3].startswith("net:[") and fields[fields.index("-") + 1] == "nsfs":
            found.append(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4]))
    return found


def processes_of(daemon: int) -> list[tuple[int, int]]:
    """Return process id and start time, in clock ticks, of a process and all its descendants."""
    parents = {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None}
    ours = {daemon}
    grown = True
    while grown:
        children = {pid for pid, (parent, _) in parents.items() if parent in ours}
        grown = not children <= ours
        ours |= children
    return [(pid, parents[pid][1]) for pid in ours if pid in parents]


def processes_naming(state: Path) -> list[int]:
    """Return the processes, other than this one, that have the directory as an argument."""
    wanted = os.fsencode(state)
    found = []
    for pid in _pids():
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in arguments and pid != os.getpid():
            found.append(pid)
    return found


def _pids() -> Iterable[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> tuple[int, int] | None:
    """Return parent and start time of a process; None where it is gone or only waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may hold blanks and parentheses itself (proc_pid_stat(5)).
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else (int(fields[1]), int(fields[19]))
