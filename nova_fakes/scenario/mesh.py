"""The ping mesh: every server pings every other one, in both families, all sources at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any

from nova_fakes.scenario.probes import Echoes, Prober

__all__ = ["Mesh", "Node", "Pair", "measure"]

# More pingers than this at once measure each other's wait for a processor, not the network.
CONCURRENT_SOURCES = 4


@dataclass(frozen=True, slots=True)
class Node:
    """One server of the mesh: its name, its uuid, and its addresses of both families."""

    name: str
    uuid: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """What one server heard from one address of another."""

    source: str
    target: str
    family: int
    echoes: Echoes


@dataclass(frozen=True, slots=True)
class Mesh:
    """All pairs of a mesh."""

    names: tuple[str, ...]
    pairs: tuple[Pair, ...]

    @property
    def silent(self) -> tuple[Pair, ...]:
        """The pairs in which a request stayed without reply."""
        return tuple(pair for pair in self.pairs if pair.echoes.lost)

    def between(self, source: str, target: str) -> dict[int, Echoes]:
        """Return what `source` heard from `target`, by family: 4 or 6."""
        return {pair.family: pair.echoes for pair in self.pairs if (pair.source, pair.target) == (source, target)}

    def to_mapping(self) -> dict[str, Any]:
        """Return the mesh as what json.dumps takes."""
        return {"names": list(self.names), "pairs": [asdict(pair) for pair in self.pairs]}


def measure(
    prober: Prober, nodes: Sequence[Node], *, count: int = 3, interval_s: float = 0.01, timeout_s: float = 1.0
) -> Mesh:
    """Ping every address of every other node from every node.

    :raises ProbeFailed: where a node's namespace could not be joined
    """
    owners: Mapping[str, Node] = {address: node for node in nodes for address in node.addresses}

    def from_node(source: Node) -> list[Pair]:
        addresses = [address for address, owner in owners.items() if owner is not source]
        if not addresses:
            return []
        heard = prober.ping(source.uuid, addresses, count=count, interval_s=interval_s, timeout_s=timeout_s)
        return [
            Pair(source.name, owners[echoes.address].name, ip_address(echoes.address).version, echoes)
            for echoes in heard
        ]

    with ThreadPoolExecutor(CONCURRENT_SOURCES) as pool:
        pairs = tuple(pair for found in pool.map(from_node, nodes) for pair in found)
    return Mesh(tuple(node.name for node in nodes), pairs)
