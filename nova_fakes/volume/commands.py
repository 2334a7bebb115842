"""The commands that volume drivers of 2011 ran, over a store: LVM's, dd, vblade's and aoetools', ietadm, iscsiadm.

Each does what the real one does to the volumes, and prints what the real one prints as far as the drivers read it. The
log has every command whole.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from nova_fakes.exceptions import Conflict, InvalidInput, NotFound, NovaFakesError
from nova_fakes.volume.medium import Medium, whole_chunks
from nova_fakes.volume.pool import GIB
from nova_fakes.volume.records import Snapshot, Volume
from nova_fakes.volume.store import VolumeStore

__all__ = ["CommandFailed", "Commands"]

_UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": GIB, "t": 1 << 40}


class CommandFailed(NovaFakesError):
    """A command ended with another status than 0.

    :param command: the whole of it
    :param exit_code: its status
    :param stderr: what it said
    """

    def __init__(self, command: str, exit_code: int, stderr: str) -> None:
        super().__init__(f"{command}: exit code {exit_code}: {stderr}")
        self.command = command
        self.exit_code = exit_code
        self.stderr = stderr


class Commands:
    """A machine's commands.

    :param store: its pools are the volume groups, its volumes and snapshots the logical volumes, by their names
    :param portal: the iSCSI target's address
    """

    def __init__(self, store: VolumeStore, portal: str = "127.0.0.1:3260") -> None:
        self.store = store
        #: Every command that was run, in order.
        self.log: list[str] = []
        self._portal = portal
        #: Device and state of each AoE export by shelf and blade, in the words of vblade-persist(8).
        self._blades: dict[tuple[str, str], tuple[str, str, str]] = {}
        self._targets: dict[str, dict[str, str]] = {}
        self._sessions: set[str] = set()
        self._seen: set[tuple[str, str]] = set()

    def run(self, *command: object) -> tuple[str, str]:
        """Run a command; return what it wrote to its standard output and its standard error.

        :param command: its words, or one text
        :raises CommandFailed: it does not exist here, or fails
        """
        words = shlex.split(str(command[0])) if len(command) == 1 else [str(word) for word in command]
        text = shlex.join(words)
        self.log.append(text)
        if words[:1] == ["sudo"]:
            words = words[1:]
        if not words or words[0] not in self._PROGRAMS:
            raise CommandFailed(text, 127, f"{words[0] if words else ''}: command not found")
        try:
            return self._PROGRAMS[words[0]](self, words[1:]), ""
        except (NotFound, Conflict, InvalidInput) as error:
            raise CommandFailed(text, 5, str(error)) from error
        except (IndexError, KeyError, ValueError) as error:
            raise CommandFailed(text, 3, f"{words[0]}: cannot make sense of its arguments ({error})") from error

    # LVM

    def _vgs(self, words: list[str]) -> str:
        return "".join(f"  {name}\n" for name in self.store.pools)

    def _lvs(self, words: list[str]) -> str:
        rows = [f"  {_vg(self.store, one)} {one.name} {one.size_bytes / GIB:.2f}g\n" for one in self._logical_volumes()]
        return "".join(rows)

    def _lvcreate(self, words: list[str]) -> str:
        options, rest = _options(words, ("-L", "--size", "-n", "--name"), ("--snapshot", "-s"))
        size = options.get("-L") or options.get("--size") or ""
        name = options.get("-n") or options["--name"]
        if any(one.name == name for one in self._logical_volumes()):
            raise InvalidInput("name", name, "there is a logical volume of that name already")
        if "--snapshot" in options or "-s" in options:
            origin = self._find(rest[0])
            if not isinstance(origin, Volume):
                raise InvalidInput("origin", rest[0], "it is a snapshot itself")
            self.store.create_snapshot(origin.id, name=name)
        else:
            self.store.create_volume(_size(size), name=name, pool=rest[0])
        return f'  Logical volume "{name}" created\n'

    def _lvremove(self, words: list[str]) -> str:
        _known, rest = _options(words, (), ("-f", "--force"))
        found = self._find(rest[0])
        if isinstance(found, Snapshot):
            self.store.delete_snapshot(found.id)
        else:
            self.store.delete_volume(found.id, cascade=True)
        return f'  Logical volume "{found.name}" successfully removed\n'

    def _lvdisplay(self, words: list[str]) -> str:
        _known, rest = _options(words, ("-o",), ("--noheading", "--noheadings", "-C"))
        found = self._find(rest[0])
        kind = "s" if isinstance(found, Snapshot) else "o" if self.store.snapshots_of(found.id) else "-"
        return f"  {kind}wi-{'ao' if getattr(found, 'status', '') == 'in-use' else 'a-'}\n"

    def _dd(self, words: list[str]) -> str:
        values = dict(word.split("=", 1) for word in words)
        target = self._find(values["of"])
        size_bytes = int(values["count"]) * _size(values.get("bs", "512b")) if "count" in values else target.size_bytes
        size_bytes = min(size_bytes, target.size_bytes)
        if not isinstance(target, Volume):
            raise InvalidInput("of", values["of"], "a snapshot is not written to")
        if values["if"] == "/dev/zero":
            target.disk.discard(0, size_bytes)
        else:
            _copy(self._find(values["if"]).disk, target.disk, size_bytes)
        return ""

    def _logical_volumes(self) -> list[Volume | Snapshot]:
        return [*self.store.volumes.values(), *self.store.snapshots.values()]

    def _find(self, path: str) -> Volume | Snapshot:
        """Return what lies at ``/dev/GROUP/NAME``, ``/dev/mapper/GROUP-NAME`` or ``GROUP/NAME``."""
        for one in self._logical_volumes():
            group = _vg(self.store, one)
            mapped = f"/dev/mapper/{group.replace('-', '--')}-{one.name.replace('-', '--')}"
            if path in (f"/dev/{group}/{one.name}", mapped, f"{group}/{one.name}"):
                return one
        raise NotFound(f'Failed to find logical volume "{path}"')

    # ATA over Ethernet

    def _vblade_persist(self, words: list[str]) -> str:
        verb, *rest = words
        if verb == "ls":
            return "".join(
                f"{shelf} {blade} {interface} {device} auto {state}\n"
                for (shelf, blade), (interface, device, state) in self._blades.items()
            )
        if verb == "setup":
            shelf, blade, interface, device = rest
            if (shelf, blade) in self._blades:
                raise InvalidInput("blade", f"{shelf}.{blade}", "it is set up already")
            self._find(device)
            self._blades[shelf, blade] = (interface, device, "stop")
            return ""
        chosen = list(self._blades) if rest == ["all"] else [(rest[0], rest[1])]
        for place in chosen:
            interface, device, state = self._blades[place]
            if verb == "destroy":
                if state == "run":
                    raise InvalidInput("blade", ".".join(place), "stop it first")
                del self._blades[place]
            elif verb in ("start", "stop"):
                self._blades[place] = (interface, device, "run" if verb == "start" else "stop")
            elif verb != "auto":
                raise InvalidInput("verb", verb, "vblade-persist does not know it")
        return ""

    def _aoe_discover(self, words: list[str]) -> str:
        self._seen = {place for place, (_interface, _device, state) in self._blades.items() if state == "run"}
        return ""

    def _aoe_stat(self, words: list[str]) -> str:
        rows = []
        for shelf, blade in sorted(self._seen & self._blades.keys()):
            interface, device, _state = self._blades[shelf, blade]
            size = self._find(device).size_bytes / 1e9
            rows.append(f"      e{shelf}.{blade} {size:12.3f}GB   {interface} up            \n")
        return "".join(rows)

    # iSCSI

    def _ietadm(self, words: list[str]) -> str:
        options, _rest = _options(words, ("--op", "--tid", "--lun", "--params"), ())
        verb, number = options["--op"], options["--tid"]
        parameters = dict(one.split("=", 1) for one in options.get("--params", "").split(",") if one)
        if verb == "new" and "--lun" not in options:
            if number in self._targets:
                raise InvalidInput("tid", number, "there is such a target already")
            self._targets[number] = {"iqn": parameters["Name"]}
            return ""
        if number not in self._targets:
            raise NotFound("No such file or directory")
        if verb == "new":
            self._find(parameters["Path"])
            self._targets[number]["path"] = parameters["Path"]
        elif verb == "delete":
            if self._targets[number]["iqn"] in self._sessions:
                raise InvalidInput("tid", number, "Device or resource busy")
            if "--lun" in options:
                self._targets[number].pop("path", None)
            else:
                del self._targets[number]
        elif verb == "show":
            return f"Wthreads=8\nType=0\nQueuedCommands=32\nName={self._targets[number]['iqn']}\n"
        else:
            raise InvalidInput("op", verb, "ietadm does not know it")
        return ""

    def _iscsiadm(self, words: list[str]) -> str:
        values, switches = ("-m", "-t", "-p", "-T", "--op", "-n", "-v"), ("--login", "--logout")
        options, _rest = _options(words, values, switches)
        offered = [one["iqn"] for one in self._targets.values() if "path" in one]
        if options["-m"] == "discovery":
            return "".join(f"{self._portal},1 {iqn}\n" for iqn in offered)
        if options["-m"] == "session":
            return "".join(f"tcp: [1] {self._portal},1 {iqn}\n" for iqn in sorted(self._sessions))
        iqn = options["-T"]
        if "--logout" in options:
            if iqn not in self._sessions:
                raise NotFound("No matching sessions found")
            self._sessions.discard(iqn)
        elif iqn not in offered:
            raise NotFound("iscsiadm: no records found!")
        elif "--login" in options:
            self._sessions.add(iqn)
        elif options.get("--op") is None:
            return f"node.name = {iqn}\nnode.conn[0].address = {self._portal.partition(':')[0]}\n"
        return ""

    _PROGRAMS: Mapping[str, Callable[[Commands, list[str]], str]] = {
        "aoe-discover": _aoe_discover,
        "aoe-stat": _aoe_stat,
        "dd": _dd,
        "ietadm": _ietadm,
        "iscsiadm": _iscsiadm,
        "lvcreate": _lvcreate,
        "lvdisplay": _lvdisplay,
        "lvremove": _lvremove,
        "lvs": _lvs,
        "vblade-persist": _vblade_persist,
        "vgs": _vgs,
    }


def _vg(store: VolumeStore, one: Volume | Snapshot) -> str:
    return one.pool if isinstance(one, Volume) else store.volume(one.volume_id).pool


def _options(words: list[str], values: tuple[str, ...], switches: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Part a command's options, with ``--name=value`` or ``--name value``, from the rest of its words."""
    found: dict[str, str] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if name in values:
            found[name] = value if equals else next(left, "")
        elif word in switches:
            found[word] = ""
        elif word.startswith("-"):
            raise ValueError(f"unknown option {word}")
        else:
            rest.append(word)
    return found, rest


def _size(text: str) -> int:
    number, unit = text[:-1], text[-1:].lower()
    return int(float(number) * _UNITS[unit]) if unit in _UNITS else int(text)


def _copy(source: Medium, target: Medium, size_bytes: int) -> None:
    length = min(size_bytes, source.size_bytes)
    for index, within, piece in whole_chunks(0, length):
        offset = (index << 20) + within
        target.write(offset, source.read(offset, piece))
