"""The volume store: attachments a second, clones, and the throughput of disks in memory and in a file.

Prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other): medians of the rounds, in
processor time. A sparse file on this machine's disk, written and read by the same calls, stands beside the disk; the
copying of what is written beside a clone; what was set out for beside the rest.
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

from peers import figure

from nova_fakes.volume.chunks import Meter
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.file_disk import FileDisk, make_sparse
from nova_fakes.volume.medium import CHUNK_BYTES, Medium, copy
from nova_fakes.volume.store import VolumeStore

TIB = 1 << 40
GIB = 1 << 30
#: What a guest's page cache would hand over: a buffer that is used again.
BLOCK = bytearray(os.urandom(CHUNK_BYTES))
CYCLE = "volumes made, attached, detached, deleted"
AIM, AIM_MS = 20_000.0, 1.0
AIM_IS, COPY_IS, FILE_IS = "the aim", "copying the MiB that are written", "a sparse file on this machine's disk"


def cycles(store: VolumeStore, count: int) -> float:
    """Return how many volumes a second are made, attached, detached and deleted, by processor time."""
    began = time.process_time()
    for _ in range(count):
        volume = store.create_volume(GIB)
        store.detach(store.attach(volume.id, "server").id)
        store.delete_volume(volume.id)
    return count / (time.process_time() - began)


def clone_ms(chunks: int) -> tuple[float, float]:
    """Return what a clone of 1 TiB takes, of which that many MiB are written, and what their copying takes."""
    store = VolumeStore()
    volume = store.create_volume(TIB)
    for number in range(chunks):
        volume.disk.write(number * (TIB // max(chunks, 1)) // CHUNK_BYTES * CHUNK_BYTES, BLOCK)
    began = time.process_time()
    store.create_volume(source_id=volume.id)
    cloned = time.process_time()
    for _copied in copy(volume.disk, SparseDisk(TIB, Meter(None))):
        pass
    return 1000 * (cloned - began), 1000 * (time.process_time() - cloned)


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


def measure(rounds: int, count: int, size_bytes: int) -> list[dict[str, object]]:
    """Return the medians of everything."""
    made: list[float] = []
    in_file: list[float] = []
    disks: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="nova-fakes-bench-") as directory:
        for number in range(rounds):
            made.append(cycles(VolumeStore(), count))
            kept = VolumeStore(path=Path(directory, f"store-{number}"))
            in_file.append(cycles(kept, max(count // 25, 1)))
            kept.close()
            path = Path(directory, f"file-{number}")
            make_sparse(path, size_bytes)
            with FileDisk(path) as peer:
                ours, other = throughput(SparseDisk(size_bytes), size_bytes), throughput(peer, size_bytes)
            for name, rate in ours.items():
                disks.setdefault(f"disk: {name}", []).append((rate, other[name]))
            path.unlink()
    empty = [(clone_ms(0)[0], AIM_MS) for _ in range(rounds)]
    written = [clone_ms(256) for _ in range(rounds)]
    return [
        _median(CYCLE, "per CPU second", [(one, AIM) for one in made], AIM_IS),
        _median(f"{CYCLE} in a file", "per CPU second", list(zip(in_file, made, strict=True)), "in memory"),
        _median("clone of 1 TiB, empty", "ms", empty, AIM_IS),
        _median("clone of 1 TiB, 256 MiB written", "ms", written, COPY_IS),
        *(_median(name, "GiB per CPU second", rows, FILE_IS) for name, rows in disks.items()),
    ]


def _median(name: str, unit: str, rows: list[tuple[float, float]], other_is: str) -> dict[str, object]:
    ours, other = (statistics.median(column) for column in zip(*rows, strict=True))
    return figure(name, unit, ours, other, other_is)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of little")
    options = parser.parse_args()
    rounds, count, mib = (1, 500, 32) if options.quick else (5, 5000, 256)
    json.dump(measure(rounds, count, mib << 20), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
