"""What happened, and all that it takes to do it again; as JSON a line of text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.nic import Nic, read_nics

__all__ = ["NOTHING", "OK", "Event", "read_events"]

OK = "ok"
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Event(NamedTuple):
    """Something that happened.

    :param time: seconds since the epoch, by the fleet's clock
    :param host: where
    :param guest: UUID; None when it concerns the host
    :param operation: ``spawn``, ``pause``, ``vif_plugged`` …
    :param outcome: ``ok``, or the name of the error
    :param details: what else there is to say, by operation: ``vif_id`` for VIFs, ``message`` of an error; ``spec``,
        ``nics``, ``nic``, ``volumes`` and ``volume`` are the model's own objects, not copies
    """

    time: float
    host: str
    guest: str | None
    operation: str
    outcome: str = OK
    details: Mapping[str, Any] = NOTHING

    def to_record(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {**self._asdict(), "details": _plain(self.details)}

    def to_json(self) -> str:
        """Return it as one line of JSON, without the line's end."""
        return json.dumps(self.to_record(), default=str)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Event:
        """Make it again from what :meth:`to_record` returned; what else the record holds is left out.

        :raises InvalidInput: it is no record of an event
        """
        try:
            time, host, guest, operation, outcome = (record[name] for name in cls._fields[:-1])
            details = {name: _READ.get(name, _same)(value) for name, value in record["details"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInput("event", record, f"{error!r}: give what Event.to_record returned") from error
        return cls(time, host, guest, operation, outcome, details)


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Read events from lines of JSON: an open file, for example, of ``nova-fakes events --all --json``.

    :raises InvalidInput: names the line that is none
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"line {number}", line, f"{error}: give one JSON object a line") from error
        yield Event.from_record(record)


def _plain(value: Any) -> Any:
    if isinstance(value, (GuestSpec, Volume)):
        return value.to_record()
    if isinstance(value, Nic):
        return value.info
    if isinstance(value, Mapping):
        return {name: _plain(_values(one) if name == "nics" else one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _values(nics: Any) -> Any:
    """Return interfaces without their ids, which they know themselves."""
    return list(nics.values()) if isinstance(nics, Mapping) else nics


def _same(value: Any) -> Any:
    return value


#: How details that are objects of the model are made again.
_READ: Mapping[str, Any] = {
    "spec": GuestSpec.from_record,
    "nics": lambda infos: read_nics(infos, distinct=False),
    "nic": Nic,
    "volumes": lambda records: tuple(Volume.from_record(record) for record in records),
    "volume": Volume.from_record,
}
