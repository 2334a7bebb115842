"""The volume store: attachments a second, clones, and the throughput of disks in memory and in a file.

Prints JSON: medians of the rounds, in processor time where one process does all of the work. A sparse file on this
machine's disk, written and read by the same calls, stands beside the disk as the peer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.file_disk import FileDisk, make_sparse
from nova_fakes.volume.medium import CHUNK_BYTES, Medium
from nova_fakes.volume.store import VolumeStore

TIB = 1 << 40
GIB = 1 << 30
#: What a guest's page cache would hand over: a buffer that is used again.
BLOCK = bytearray(os.urandom(CHUNK_BYTES))


def cycles(store: VolumeStore, count: int) -> float:
    """Return how many volumes a second are made, attached, detached and deleted, by processor time."""
    began = time.process_time()
    for _ in range(count):
        volume = store.create_volume(GIB)
        store.detach(store.attach(volume.id, "server").id)
        store.delete_volume(volume.id)
    return count / (time.process_time() - began)


def clone_ms(chunks: int) -> float:
    """Return what a clone of a volume of 1 TiB takes, of which that many MiB are written."""
    store = VolumeStore()
    volume = store.create_volume(TIB)
    for number in range(chunks):
        volume.disk.write(number * (TIB // max(chunks, 1)) // CHUNK_BYTES * CHUNK_BYTES, BLOCK)
    began = time.process_time()
    store.create_volume(source_id=volume.id)
    return 1000 * (time.process_time() - began)


def throughput(medium: Medium, size_bytes: int) -> dict[str, float]:
    """Return GiB a second, sequentially in blocks of 1 MiB, by processor time."""

    def rate(act: Callable[[int], object]) -> float:
        began = time.process_time()
        for offset in range(0, size_bytes, CHUNK_BYTES):
            act(offset)
        return size_bytes / GIB / (time.process_time() - began)

    return {
        "write": rate(lambda offset: medium.write(offset, BLOCK)),
        "rewrite": rate(lambda offset: medium.write(offset, BLOCK)),
        "read": rate(lambda offset: medium.read(offset, CHUNK_BYTES)),
    }


def measure(rounds: int, size_bytes: int) -> dict[str, object]:
    """Return the medians of everything."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory(prefix="nova-fakes-bench-") as directory:
        for number in range(rounds):
            note("cycles_per_s", cycles(VolumeStore(), 5000))
            kept = VolumeStore(path=Path(directory, f"store-{number}"))
            note("cycles_per_s_in_a_file", cycles(kept, 200))
            kept.close()
            note("clone_ms_empty", clone_ms(0))
            note("clone_ms_256_mib_written", clone_ms(256))
            for name, rate in throughput(SparseDisk(size_bytes), size_bytes).items():
                note(f"disk_{name}_gib_s", rate)
            path = Path(directory, f"file-{number}")
            make_sparse(path, size_bytes)
            with FileDisk(path) as peer:
                for name, rate in throughput(peer, size_bytes).items():
                    note(f"peer_file_{name}_gib_s", rate)
            path.unlink()
    return {name: round(statistics.median(values), 3) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=256, help="how much is written and read in a round")
    options = parser.parse_args()
    json.dump(measure(options.rounds, options.mib << 20), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
