"""Writes to a store in a file, and tells of each operation that is done, until it is killed."""

import random
import sys

from nova_fakes.volume.medium import CHUNK_BYTES
from nova_fakes.volume.store import VolumeStore

SIZE = 4 * CHUNK_BYTES


class Story:
    """The same operations for the same seed."""

    def __init__(self, store, seed):
        self.store = store
        self.random = random.Random(seed)
        self.made = 0

    def step(self):
        """Make one operation, which is there as a whole or not at all."""
        pick = self.random.random()
        volumes, snapshots = sorted(self.store.volumes), sorted(self.store.snapshots)
        self.made += 1
        if len(volumes) < 2 or pick < 0.1:
            if len(volumes) < 5:
                self.store.create_volume(SIZE, volume_id=f"v{self.made:05}")
        elif pick < 0.2:
            if snapshots and len(volumes) < 5:
                origin = self.random.choice(snapshots)
                self.store.create_volume(snapshot_id=origin, volume_id=f"v{self.made:05}")
        elif pick < 0.3:
            if len(snapshots) < 5:
                self.store.create_snapshot(self.random.choice(volumes), snapshot_id=f"s{self.made:05}")
        elif pick < 0.35:
            self.store.delete_volume(self.random.choice(volumes), cascade=True)
        elif pick < 0.4 and snapshots:
            snapshot = self.store.snapshot(self.random.choice(snapshots))
            self.store.revert(snapshot.volume_id, snapshot.id)
        elif pick < 0.5:
            disk = self.store.volume(self.random.choice(volumes)).disk
            disk.discard(self.random.randrange(3) * CHUNK_BYTES, CHUNK_BYTES)
        else:
            disk = self.store.volume(self.random.choice(volumes)).disk
            offset = self.random.randrange(SIZE - 8192)
            disk.write(offset, bytes([self.random.randrange(1, 256)]) * self.random.randrange(1, 8192))


def picture(store):
    """Return everything that is kept of a store."""
    kinds = (store.volumes, store.snapshots)
    values = {one.id: [one.to_record(), one.disk.digest()] for kind in kinds for one in kind.values()}
    for record, _digest in values.values():
        record.pop("created_at")
    return values


if __name__ == "__main__":
    story = Story(VolumeStore(path=sys.argv[1]), int(sys.argv[2]))
    while True:
        story.step()
        print(story.made, flush=True)
