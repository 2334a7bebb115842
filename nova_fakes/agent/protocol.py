"""What client and agent say to each other: one schema for both ends.

A request is a verb with typed arguments, and checks itself when it is made, so that neither end can hold one that the
other would refuse. How calls travel is in `nova_fakes.agent.calls`. `PROTOCOL` counts the changes that an older end
would misunderstand.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from nova_fakes.agent import checks, vifs
from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif.base import VIF, InterfaceCounters, RealizerDescription

__all__ = [
    "PROTOCOL",
    "VERBS",
    "AbortMigration",
    "Counters",
    "Describe",
    "Execute",
    "Execution",
    "Health",
    "HealthReport",
    "Migrate",
    "Namespace",
    "Plug",
    "PrepareMigration",
    "Request",
    "SetLink",
    "TakeOver",
    "Unplug",
    "decode_arguments",
    "encode_arguments",
]

#: 2: `Unplug` says whether the instance has moved, subnets their way of IPv6.
PROTOCOL = 2
#: Characters of a command with its arguments.
_MAX_ARGV = 65536


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How the agent is.

    `status` is ``ok``, or ``stuck`` where a request does not end; `instances` None where the realizer does not tell;
    `oldest_s` how long the oldest request has been under way, 0 where there is none; `audit_lines_lost` how many lines
    of the audit log could not be written.
    """

    status: str
    protocol: int
    version: str
    realizer: str
    pid: int
    uptime_s: float
    instances: int | None
    waiting: int
    oldest_s: float
    audit_lines_lost: int


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of a command: `truncated` where it said more than is kept."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    truncated: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A verb with its arguments.

    `idempotent`: saying it twice does what saying it once does, so a client that got no answer may say it again.
    `changes`: it is written to the audit log. `replayed`: `replay` makes it again.
    """

    verb: ClassVar[str]
    idempotent: ClassVar[bool] = True
    changes: ClassVar[bool] = True
    replayed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for item in fields(self):
            _CHECKS[item.name](getattr(self, item.name), item.name)

    def encode_result(self, result: Any) -> Any:
        """Return the verb's result as JSON carries it."""
        return None

    def decode_result(self, value: Any) -> Any:
        """Return the verb's result from what JSON carried.

        :raises InvalidInput: it is no such result
        """
        return None


@dataclass(frozen=True, slots=True)
class Plug(Request):
    """Make whatever of these VIFs is missing."""

    verb = "plug"
    host: str
    instance: str
    vifs: tuple[VIF, ...]
    up: bool


@dataclass(frozen=True, slots=True)
class Unplug(Request):
    """Remove these VIFs, or all and the namespace where None.

    `moved`: the instance lives on elsewhere, so that its leases are not given back.
    """

    verb = "unplug"
    host: str
    instance: str
    some_vifs: tuple[VIF, ...] | None
    moved: bool


@dataclass(frozen=True, slots=True)
class SetLink(Request):
    """Give the instance its link, or take it."""

    verb = "set_link"
    host: str
    instance: str
    up: bool


@dataclass(frozen=True, slots=True)
class PrepareMigration(Request):
    """Prepare the destination of a migration."""

    verb = "prepare_migration"
    host: str
    instance: str
    vifs: tuple[VIF, ...]


@dataclass(frozen=True, slots=True)
class Migrate(Request):
    """Take an instance over from another host of the same agent.

    Not idempotent: the instance may have gone on to a third host before the second saying of it.
    """

    verb = "migrate"
    idempotent = False
    host: str
    instance: str
    vifs: tuple[VIF, ...]
    source: str


@dataclass(frozen=True, slots=True)
class TakeOver(Request):
    """Take an instance over from a host of another agent, by that agent's socket.

    Where that agent is on this machine, the instance keeps its namespace, and with it its processes and connections;
    else it is made anew. It is announced, and still has to be unplugged there.
    """

    verb = "take_over"
    idempotent = False
    host: str
    instance: str
    vifs: tuple[VIF, ...]
    source: str
    source_socket: str


@dataclass(frozen=True, slots=True)
class AbortMigration(Request):
    """Undo what was prepared on the destination of a migration."""

    verb = "abort_migration"
    host: str
    instance: str
    vifs: tuple[VIF, ...]


@dataclass(frozen=True, slots=True)
class Counters(Request):
    """Read the counters of an instance's interfaces."""

    verb = "counters"
    changes = False
    host: str
    instance: str

    def encode_result(self, result: Mapping[str, InterfaceCounters]) -> dict[str, dict[str, int]]:
        """Return the counters by VIF id."""
        return {vif_id: asdict(counters) for vif_id, counters in result.items()}

    def decode_result(self, value: Any) -> dict[str, InterfaceCounters]:
        """Return the counters by VIF id."""
        given = _object(value, "counters")
        return {vif_id: InterfaceCounters(**_numbers(counters)) for vif_id, counters in given.items()}


@dataclass(frozen=True, slots=True)
class Namespace(Request):
    """Ask for the path of an instance's network namespace, as the agent sees it."""

    verb = "namespace"
    changes = False
    host: str
    instance: str

    def encode_result(self, result: str | None) -> str | None:
        """Return the path, None where there is none."""
        return result

    def decode_result(self, value: Any) -> str | None:
        """Return the path, None where there is none."""
        return None if value is None else checks.path(value, "namespace")


@dataclass(frozen=True, slots=True)
class Execute(Request):
    """Run a command in an instance's network namespace, as the user who asks; it is killed before the deadline."""

    verb = "execute"
    idempotent = False
    replayed = False
    host: str
    instance: str
    argv: tuple[str, ...]

    def encode_result(self, result: Execution) -> dict[str, Any]:
        """Return what came of it, outputs in base64."""
        outputs = {name: b64encode(getattr(result, name)).decode() for name in ("stdout", "stderr")}
        return {"exit_code": result.exit_code, "truncated": result.truncated, **outputs}

    def decode_result(self, value: Any) -> Execution:
        """Return what came of it."""
        given = checks.keys(value, "execution", [item.name for item in fields(Execution)])
        if not isinstance(given["exit_code"], int):
            raise InvalidInput("exit_code", given["exit_code"], "the agent answered something else than a number")
        stdout, stderr = (_bytes(given[name], name) for name in ("stdout", "stderr"))
        return Execution(given["exit_code"], stdout, stderr, checks.flag(given["truncated"], "truncated"))


@dataclass(frozen=True, slots=True)
class Describe(Request):
    """Ask what the host's realizer can do."""

    verb = "describe"
    changes = False
    host: str

    def encode_result(self, result: RealizerDescription) -> dict[str, Any]:
        """Return the description; sets as sorted lists."""
        return {key: sorted(v) if isinstance(v, frozenset) else v for key, v in asdict(result).items()}

    def decode_result(self, value: Any) -> RealizerDescription:
        """Return the description."""
        given = checks.keys(value, "description", [item.name for item in fields(RealizerDescription)])
        values: dict[str, Any] = {k: frozenset(v) if isinstance(v, list) else v for k, v in given.items()}
        return RealizerDescription(**values)


@dataclass(frozen=True, slots=True)
class Health(Request):
    """Ask how the agent is."""

    verb = "health"
    changes = False

    def encode_result(self, result: HealthReport) -> dict[str, Any]:
        """Return the report."""
        return asdict(result)

    def decode_result(self, value: Any) -> HealthReport:
        """Return the report."""
        return HealthReport(**checks.keys(value, "health", [item.name for item in fields(HealthReport)]))


VERBS: Mapping[str, type[Request]] = {
    request.verb: request
    for request in (
        Plug, Unplug, SetLink, PrepareMigration, Migrate, TakeOver, AbortMigration,
        Counters, Namespace, Execute, Describe, Health,
    )
}  # fmt: skip


def encode_arguments(request: Request) -> dict[str, Any]:
    """Return a request's arguments as JSON carries them."""
    given = {item.name: getattr(request, item.name) for item in fields(request)}
    return {
        name: [vifs.encode(one) if isinstance(one, VIF) else one for one in value]
        if isinstance(value, tuple)
        else value
        for name, value in given.items()
    }


def decode_arguments(verb: str, arguments: object) -> Request:
    """Return the request that a verb's arguments make.

    :raises InvalidInput: there is no such verb, or an argument cannot be used
    """
    request = VERBS.get(verb)
    if request is None:
        raise InvalidInput("verb", verb, f"use one of {', '.join(VERBS)}")
    names = [item.name for item in fields(request)]
    given = checks.keys(arguments, "arguments", names)
    return request(**{name: _decode(name, given[name]) for name in names})


def _decode(name: str, value: object) -> object:
    if name == "argv":
        return tuple(checks.listed(value, name))
    if name == "vifs" or (name == "some_vifs" and value is not None):
        return tuple(vifs.decode(vif) for vif in checks.listed(value, name))
    return value


def _check_argv(value: object, name: str) -> None:
    """Refuse what no program could be started with (execve(2)), and what is more than anybody types."""
    checks.listed(value, name)
    words = value if isinstance(value, tuple) else ()
    if not words or not words[0] or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise InvalidInput(name, checks.shorten(value), "give a program and its arguments, without zero bytes")
    if sum(map(len, words)) > _MAX_ARGV:
        raise InvalidInput(name, checks.shorten(value), f"give at most {_MAX_ARGV} characters")


def _check_vifs(value: Sequence[VIF] | None, name: str) -> None:
    if not isinstance(value, tuple):
        raise InvalidInput(name, value, "give a tuple of VIFs")
    for vif in value:
        vifs.check(vif)


def _check_some_vifs(value: tuple[VIF, ...] | None, name: str) -> None:
    if value is not None:
        _check_vifs(value, name)


_CHECKS: Mapping[str, Callable[[Any, str], object]] = {
    "host": checks.host,
    "source": checks.host,
    "instance": checks.uuid,
    "up": checks.flag,
    "moved": checks.flag,
    "argv": _check_argv,
    "source_socket": checks.path,
    "vifs": _check_vifs,
    "some_vifs": _check_some_vifs,
}


def _object(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(field, value, "the agent answered something else than an object")
    return value


def _bytes(value: object, field: str) -> bytes:
    try:
        return b64decode(value if isinstance(value, str) else "?", validate=True)
    except (TypeError, ValueError):
        raise InvalidInput(field, checks.shorten(value), "the agent answered something else than base64") from None


def _numbers(value: object) -> Mapping[str, int]:
    given = checks.keys(value, "counters", [item.name for item in fields(InterfaceCounters)])
    for name, number in given.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise InvalidInput(name, number, "the agent answered something else than a number")
    return given
