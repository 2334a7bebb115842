"""Holds an NBD socket and a volume's file, both in a ledger, and waits to be killed."""

import sys
import time
from pathlib import Path

from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.volume.local_files import LocalFiles
from nova_fakes.volume.nbd_server import NbdServer
from nova_fakes.volume.store import VolumeStore

directory = Path(sys.argv[1])
ledger = Ledger(directory / "ledger")
store = VolumeStore(path=directory / "store")
volume = store.create_volume(1 << 30, volume_id="volume")
server = NbdServer(directory / "socket", ledger)
files = LocalFiles(store, directory / "volumes", ledger)
path = files.publish("volume")
server.export("volume", store.volume("volume").disk)
path.open("r+b").write(b"written by a program")
store.create_volume(1 << 20, volume_id="second")
files.publish("second")
print("ready", flush=True)
time.sleep(300)
