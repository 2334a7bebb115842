"""The brokers that URLs name."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from uuid import uuid4

from nova_fakes.exceptions import Conflict
from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.pacer import Pacer

__all__ = ["BROKERS", "DEFAULT", "Brokers"]

#: The broker of a URL that names none; kombu gives such a URL this host.
DEFAULT = "localhost"


class Brokers:
    """Brokers by name. One that is asked for and not there is made, with a thread that lets its time pass."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._brokers: dict[str, tuple[Broker, Pacer]] = {}

    def get(self, name: str | None = None) -> Broker:
        """Return the broker of a name; None: the default one."""
        name = name or DEFAULT
        with self._lock:
            if name not in self._brokers:
                self._take(name, Broker(f"rabbit@{name}"))
            return self._brokers[name][0]

    def add(self, name: str, broker: Broker) -> None:
        """Let a broker be found by a name.

        :raises Conflict: another has it
        """
        with self._lock:
            if name in self._brokers:
                raise Conflict(f"a broker named {name} is there already: remove it first, or choose another name")
            self._take(name, broker)

    def _take(self, name: str, broker: Broker) -> None:
        pacer = Pacer(broker)
        pacer.start()
        self._brokers[name] = broker, pacer

    def remove(self, name: str = DEFAULT) -> None:
        """Forget a broker and throw its clients out; one that is not there is no error."""
        with self._lock:
            broker, pacer = self._brokers.pop(name, (None, None))
        if broker is not None and pacer is not None:
            pacer.stop()
            with broker:
                broker.drop()

    @contextlib.contextmanager
    def lent(self, broker: Broker) -> Iterator[str]:
        """Let a broker be found for a while; give the URL."""
        name = uuid4().hex
        self.add(name, broker)
        try:
            yield f"fakerabbit://{name}//"
        finally:
            self.remove(name)

    def reset_all(self) -> None:
        """Forget all of them."""
        for name in list(self._brokers):
            self.remove(name)


#: Those that kombu's URLs name: a URL is all that kombu hands on, so they have to be found from anywhere.
BROKERS = Brokers()
