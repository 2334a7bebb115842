"""What all methods of python-ldap's connections stand on: requests are passed on, answers are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nova_fakes.ldap.client import constants as c
from nova_fakes.ldap.client import controls as control_classes
from nova_fakes.ldap.client import tracing
from nova_fakes.ldap.client.connection import Connection
from nova_fakes.ldap.client.errors import CLASSES

__all__ = ["Calls", "Controls", "decoded", "encoded"]

Controls = Iterable[Any] | None


def encoded(controls: Controls) -> list[tuple[str, Any, Any]] | None:
    """Return request controls, of python-ldap's classes or of ours, as tuples."""
    if controls is None:
        return None
    return [(one.controlType, one.criticality, one.encodeControlValue()) for one in controls]


def decoded(tuples: Iterable[tuple[str, Any, Any]] | None, known: Any = None) -> list[Any]:
    """Return response controls as objects of the classes that are known for them."""
    made: list[Any] = control_classes.DecodeControlTuples(tuples, known)
    return made


class Calls:
    """Calls the connection below, and waits for what it answers."""

    _l: Connection
    _uri: str
    _trace_level: int
    _trace_file: Any
    timeout: float

    def _ldap_call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the connection below, and tell it to who wants a trace."""
        if not self._trace_level:
            return func(*args, **kwargs)
        return tracing.call(self, self._uri, self._trace_level, self._trace_file, func, *args, **kwargs)

    def extop(self, extreq: Any, serverctrls: Controls = None, clientctrls: Controls = None) -> int:
        """Ask for an extended operation."""
        name, value = extreq.requestName, extreq.encodedRequestValue()
        return int(self._ldap_call(self._l.extop, name, value, encoded(serverctrls), encoded(clientctrls)))

    def extop_result(self, msgid: int = c.RES_ANY, all: int = 1, timeout: Any = None) -> tuple[Any, Any]:
        """Return name and value of an extended response."""
        found = self.result4(msgid, 1, self.timeout, add_ctrls=1, add_intermediates=1, add_extop=1)
        return found[4], found[5]

    def extop_s(
        self, extreq: Any, serverctrls: Controls = None, clientctrls: Controls = None, extop_resp_class: Any = None
    ) -> Any:
        """Do an extended operation and return name and value of the response, or an object of a class for it."""
        name, value = self.extop_result(self.extop(extreq, serverctrls, clientctrls), 1, self.timeout)
        if not extop_resp_class:
            return name, value
        wanted = extop_resp_class.responseName
        if wanted != name:
            raise CLASSES["PROTOCOL_ERROR"](f"Wrong OID in extended response! Expected {wanted}, got {name}")
        return extop_resp_class(wanted, value)

    def result(self, msgid: int = c.RES_ANY, all: int = 1, timeout: Any = None) -> tuple[Any, Any]:
        """Return an answer: its kind and what it lists."""
        kind, data, _ = self.result2(msgid, all, timeout)
        return kind, data

    def result2(self, msgid: int = c.RES_ANY, all: int = 1, timeout: Any = None) -> tuple[Any, Any, Any]:
        """Return an answer with the request's number."""
        kind, data, number, _ = self.result3(msgid, all, timeout)
        return kind, data, number

    def result3(
        self, msgid: int = c.RES_ANY, all: int = 1, timeout: Any = None, resp_ctrl_classes: Any = None
    ) -> tuple[Any, Any, Any, Any]:
        """Return an answer with the request's number and controls."""
        return self.result4(msgid, all, timeout, resp_ctrl_classes=resp_ctrl_classes)[:4]

    def result4(
        self,
        msgid: int = c.RES_ANY,
        all: int = 1,
        timeout: Any = None,
        add_ctrls: int = 0,
        add_intermediates: int = 0,
        add_extop: int = 0,
        resp_ctrl_classes: Any = None,
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Return an answer with the request's number, controls, and name and value of an extended response."""
        waits = self.timeout if timeout is None else timeout
        found = self._ldap_call(self._l.result4, msgid, all, waits, add_ctrls, add_intermediates, add_extop)
        kind, data, number, controls, *extension = found
        if add_ctrls and data:
            data = [(name, held, decoded(listed, resp_ctrl_classes)) for name, held, listed in data]
        name, value = extension or (None, None)
        return kind, data, number, decoded(controls, resp_ctrl_classes), name, value
