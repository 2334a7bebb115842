"""Connections that connect again where the server has gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.ldap.client.connection import Connection
from nova_fakes.ldap.client.errors import CLASSES
from nova_fakes.ldap.client.simple import SimpleLDAPObject

__all__ = ["ReconnectLDAPObject"]


class ReconnectLDAPObject(SimpleLDAPObject):
    """A connection whose `*_s` methods connect and bind again where the server has gone, and try once more.

    :param retry_max: how often to try
    :param retry_delay: seconds between two tries
    :param clock: on which those pass
    """

    _reconnect_exceptions: ClassVar[tuple[type[Exception], ...]] = tuple(
        CLASSES[name] for name in ("SERVER_DOWN", "UNAVAILABLE", "CONNECT_ERROR", "TIMEOUT")
    )

    def __init__(
        self,
        uri: str,
        trace_level: int = 0,
        trace_file: Any = None,
        trace_stack_limit: int | None = 5,
        bytes_mode: Any = None,
        bytes_strictness: Any = None,
        retry_max: int = 1,
        retry_delay: float = 60.0,
        fileno: Any = None,
        clock: Clock | None = None,
    ) -> None:
        self._options: list[tuple[int, Any]] = []
        self._last_bind: tuple[str, tuple[Any, ...], dict[str, Any]] | None = None
        self._retry_max, self._retry_delay = retry_max, retry_delay
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._start_tls = 0
        self._reconnects_done = 0
        super().__init__(uri, trace_level, trace_file, trace_stack_limit, bytes_mode, bytes_strictness, fileno=fileno)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_l", "_trace_file")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _trace_file=None)
        self.reconnect(self._uri, force=True)

    def set_option(self, option: int, invalue: Any) -> Any:
        """Set an option, on this connection and on those that follow it."""
        self._options.append((option, invalue))
        return super().set_option(option, invalue)

    def reconnect(self, uri: str, retry_max: int = 1, retry_delay: float = 60.0, force: bool = True) -> None:
        """Connect again, with the options and the bind of before.

        :raises SERVER_DOWN: where nothing answered, however often it was tried
        """
        if hasattr(self, "_l"):
            if not force:
                return
            SimpleLDAPObject.unbind_s(self)
        for left in range(retry_max - 1, -1, -1):
            try:
                self._connect(uri)
            except (CLASSES["SERVER_DOWN"], CLASSES["TIMEOUT"]):
                if not left:
                    raise
                self._clock.sleep(retry_delay)
            else:
                self._reconnects_done += 1
                return

    def _connect(self, uri: str) -> None:
        self._l = Connection(uri)
        try:
            for option, value in self._options:
                SimpleLDAPObject.set_option(self, option, value)
            if self._start_tls:
                SimpleLDAPObject.start_tls_s(self)
            name, args, kwargs = self._last_bind or ("simple_bind_s", (None, None), {})
            getattr(SimpleLDAPObject, name)(self, *args, **kwargs)
        except CLASSES["LDAPError"]:
            SimpleLDAPObject.unbind_s(self)
            raise

    def _again(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a plain connection; once more after connecting again where the server had gone."""
        method = getattr(SimpleLDAPObject, name)
        self.reconnect(self._uri, self._retry_max, self._retry_delay, force=False)
        try:
            return method(self, *args, **kwargs)
        except self._reconnect_exceptions:
            self.reconnect(self._uri, self._retry_max, self._retry_delay, force=True)
            return method(self, *args, **kwargs)

    def _bound(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Bind, and remember how."""
        found = self._again(name, *args, **kwargs)
        self._last_bind = (name, args, kwargs)
        return found

    def start_tls_s(self) -> None:
        """Begin TLS, now and on the connections that follow."""
        self._again("start_tls_s")
        self._start_tls = 1


def _retrying(name: str, how: str) -> Callable[..., Any]:
    plain = getattr(SimpleLDAPObject, name)

    def method(self: ReconnectLDAPObject, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, how)(name, *args, **kwargs)

    method.__name__, method.__qualname__, method.__doc__ = name, f"ReconnectLDAPObject.{name}", plain.__doc__
    return method


for _name in ("bind_s", "simple_bind_s", "sasl_interactive_bind_s", "sasl_bind_s"):
    setattr(ReconnectLDAPObject, _name, _retrying(_name, "_bound"))
for _name in (
    "add_ext_s", "cancel_s", "compare_ext_s", "delete_ext_s", "extop_s", "modify_ext_s", "passwd_s", "rename_s",
    "search_ext_s", "whoami_s",
):  # fmt: skip
    setattr(ReconnectLDAPObject, _name, _retrying(_name, "_again"))
