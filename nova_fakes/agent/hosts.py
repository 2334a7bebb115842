"""The realizers behind an agent: one for each host that clients speak for, on one fabric where they can share it."""

import threading
from collections.abc import Mapping
from pathlib import Path

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif import registry
from nova_fakes.virt.vif.base import Realizer
from nova_fakes.virt.vif.ledger import Ledger

__all__ = ["Hosts"]

#: More than anybody lets run on one machine; a client must not fill the memory with names.
_LIMIT = 256


class Hosts:
    """Makes a realizer for each host when it is first spoken of.

    :param name: the realizer's name in the registry
    :param ledger: where what is made is written down first
    :param directory: where namespaces get their names, ``/run/netns`` where None
    :param namespace: the name of a namespace for the hosts' side of it all; None: the process's own
    :param options: further options of the realizer
    :raises InvalidInput: the realizer has no such option
    :raises RealizerError: the realizer cannot be made here
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        *,
        directory: Path | None = None,
        namespace: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._options: dict[str, object] = dict(options or {})
        registry.check_options(name, host="localhost", **self._options)
        self.fabric = registry.fabric(name, ledger, directory=directory, namespace=namespace, **self._options)
        if self.fabric is not None:
            self._options["fabric"] = self.fabric
            registry.check_options(name, host="localhost", **self._options)
        self._lock = threading.Lock()
        self._realizers: dict[str, Realizer] = {}

    def realizer(self, host: str) -> Realizer:
        """Return the host's realizer.

        :raises InvalidInput: there are too many hosts, or an option cannot be used
        """
        with self._lock:
            found = self._realizers.get(host)
            if found is None:
                if len(self._realizers) >= _LIMIT:
                    raise InvalidInput("host", host, f"the agent serves {_LIMIT} hosts already; start another")
                found = self._realizers[host] = registry.load(self.name, host=host, **self._options)
            return found

    def instances(self) -> int | None:
        """Return how many instances there are; None where the realizer does not tell."""
        found = getattr(self.fabric, "instances", None)
        return None if found is None else len(found())

    def close(self) -> None:
        """Give everything up and leave the instances' interfaces where they are."""
        with self._lock:
            for realizer in self._realizers.values():
                realizer.close()
            self._realizers.clear()
        if self.fabric is not None:
            self.fabric.close(keep=True)
