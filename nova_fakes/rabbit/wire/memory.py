"""What one connection sends again and again, read once: names of publications, and properties."""

from __future__ import annotations

from nova_fakes.rabbit.properties import Properties
from nova_fakes.rabbit.wire.methods import decode

__all__ = ["Memory", "Publication"]

LIMIT = 1024
LONGEST_OCTETS = 512
PUBLISH = (60, 40)

Publication = tuple[str, str, bool, bool, bytes]


class Memory:
    """What has been read on a connection, by its octets; bounded."""

    __slots__ = ("_properties", "_publications")

    def __init__(self) -> None:
        self._publications: dict[bytes, Publication] = {}
        self._properties: dict[bytes, Properties] = {}

    def publication(self, fields: bytes) -> Publication:
        """Read the fields of basic.publish: exchange, routing key, mandatory, immediate, and both names as octets."""
        found = self._publications.get(fields)
        if found is None:
            _ticket, exchange, routing_key, mandatory, immediate = decode(PUBLISH, fields).values()
            found = exchange, routing_key, mandatory, immediate, fields[2:-1]
            if len(self._publications) >= LIMIT:
                self._publications.clear()
            self._publications[fields] = found
        return found

    def properties(self, octets: bytes) -> Properties:
        """Read a message's properties."""
        found = self._properties.get(octets)
        if found is None:
            found = Properties(octets)
            if len(octets) <= LONGEST_OCTETS:
                if len(self._properties) >= LIMIT:
                    self._properties.clear()
                self._properties[octets] = found
        return found

    def clear(self) -> None:
        """Forget everything."""
        self._publications.clear()
        self._properties.clear()
