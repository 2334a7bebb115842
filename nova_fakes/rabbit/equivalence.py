"""Whether something that is there is what a declaration asks for; else RabbitMQ's text about the difference.

Source: RabbitMQ 3.10, `rabbit_misc:assert_args_equivalence`.
"""

from __future__ import annotations

from typing import Any

from nova_fakes.rabbit.errors import SoftError
from nova_fakes.rabbit.tables import TYPE_NAMES, Table, Value

__all__ = ["check_arguments", "check_field"]

_CLASSES = dict.fromkeys("bsIlDBui", "integer") | dict.fromkeys("fd", "float")
_ABSENT_IS = {"x-queue-type": ("S", "classic")}


def check_field(name: str, where: str, current: str | bool, received: str | bool) -> None:
    """Refuse a declaration whose property differs.

    :param where: "exchange 'x' in vhost '/'"
    """
    if current != received:
        _refuse(name, where, f"'{_erlang(received)}'", f"'{_erlang(current)}'")


def check_arguments(names: tuple[str, ...], where: str, current: Table, received: Table) -> None:
    """Refuse a declaration of which one of these arguments differs; other arguments are not compared."""
    for name in names:
        old, new = current.get(name), received.get(name)
        if old == new or _ABSENT_IS.get(name) == (old or new):
            continue
        if old is None or new is None:
            _refuse(name, where, _described(new), _described(old))
        elif _class(old) != _class(new) or old[1] != new[1]:
            _refuse(name, where, f"'{_erlang(new[1])}'", f"'{_erlang(old[1])}'")


def _class(value: Value) -> str:
    return _CLASSES.get(value[0], value[0])


def _described(value: Value | None) -> str:
    return "none" if value is None else f"the value '{_erlang(value[1])}' of type '{TYPE_NAMES[value[0]]}'"


def _erlang(content: Any) -> str:
    if isinstance(content, bytes):
        return content.decode("utf-8", "surrogateescape")
    return str(content).lower() if isinstance(content, bool) else str(content)


def _refuse(name: str, where: str, received: str, current: str) -> None:
    text = f"inequivalent arg '{name}' for {where}: received {received} but current is {current}"
    raise SoftError("PRECONDITION_FAILED", text)
