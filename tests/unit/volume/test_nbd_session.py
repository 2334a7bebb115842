"""The NBD server, word by word."""

import errno
import socket
import struct

import pytest
from nbd_client import Client

from nova_fakes.exceptions import InvalidInput, NotFound
from nova_fakes.faults import FaultRule
from nova_fakes.volume import nbd
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.medium import CHUNK_BYTES
from nova_fakes.volume.nbd import Chunk, Command, CommandFlag, Error, Option, Reply
from nova_fakes.volume.nbd_server import NbdServer
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore


@pytest.fixture
def server(tmp_path):
    with NbdServer(tmp_path / "socket") as server:
        yield server


@pytest.fixture
def disk(server):
    disk = SparseDisk(8 * CHUNK_BYTES)
    server.export("disk", disk, description="a disk")
    return disk


@pytest.mark.parametrize(("flags", "padding"), [(1, 124), (3, 0)])
def test_old_way_into_an_export(server, disk, flags, padding):
    with Client(server.path) as client:
        client.socket.sendall(
            struct.pack(">I", flags) + nbd.OPTION.pack(nbd.OPTION_MAGIC, Option.EXPORT_NAME, 4) + b"disk"
        )
        size, _flags = struct.unpack(">QH", client.receive(10))
        assert (size, client.receive(padding)) == (8 * CHUNK_BYTES, bytes(padding))
        assert client.ask(Command.WRITE, 5, 4, payload=b"text") == (0, b"")
        assert client.ask(Command.READ, 4, 6) == (0, b"\0text\0")
    assert disk.read(5, 4) == b"text"


def test_options_are_answered_or_refused(server, disk):
    with Client(server.path) as client:
        client.socket.sendall(struct.pack(">I", 3))
        assert client.option(Option.LIST) == [(Reply.SERVER, b"\0\0\0\x04diska disk"), (Reply.ACK, b"")]
        assert client.option(Option.LIST, b"x")[0][0] == Reply.INVALID
        assert client.option(Option.STARTTLS) == [(Reply.UNSUPPORTED, b"")]
        assert client.option(99, b"anything") == [(Reply.UNSUPPORTED, b"")]
        assert client.option(Option.GO, b"\0\0\0\x04none\0\0")[0][0] == Reply.UNKNOWN
        assert client.option(Option.GO, b"\0\0\0\xffdisk")[0][0] == Reply.INVALID
        replies = {
            struct.unpack(">H", data[:2])[0]: data[2:]
            for kind, data in client.option(Option.INFO, b"\0\0\0\x04disk\0\x02\0\x01\0\x02")
            if kind == Reply.INFO
        }
        assert (replies[nbd.Info.NAME], replies[nbd.Info.DESCRIPTION]) == (b"disk", b"a disk")
        query = b"\0\0\0\x04disk\0\0\0\x01\0\0\0\x0fbase:allocation"
        assert client.option(Option.SET_META_CONTEXT, query)[0][0] == Reply.INVALID
        client.option(Option.STRUCTURED_REPLY)
        assert client.option(Option.SET_META_CONTEXT, query)[0] == (Reply.META_CONTEXT, b"\0\0\0\x01base:allocation")
        assert client.option(Option.SET_META_CONTEXT, query + b"x")[0][0] == Reply.INVALID
        assert client.option(Option.LIST_META_CONTEXT, b"\0\0\0\x04disk\0\0\0\0")[0][0] == Reply.META_CONTEXT
        assert client.option(Option.ABORT) == [(Reply.ACK, b"")]
        with pytest.raises(ConnectionError):
            client.receive(1)


@pytest.mark.parametrize(
    "said",
    [
        struct.pack(">I", 0xFF),
        struct.pack(">I", 3) + bytes(16),
        struct.pack(">I", 3) + nbd.OPTION.pack(nbd.OPTION_MAGIC, Option.GO, 1 << 30),
        struct.pack(">I", 3) + nbd.OPTION.pack(nbd.OPTION_MAGIC, Option.EXPORT_NAME, 4) + b"none",
    ],
)
def test_nonsense_ends_the_connection_and_no_other(server, disk, said):
    with Client(server.path) as other, Client(server.path) as client:
        other.begin("disk")
        client.socket.sendall(said)
        with pytest.raises(ConnectionError):
            client.receive(1)
        assert other.ask(Command.READ, 0, 1) == (0, b"\0")


@pytest.mark.parametrize(
    ("command", "offset", "length", "payload", "error"),
    [
        (Command.READ, 8 * CHUNK_BYTES, 1, b"", Error.EINVAL),
        (Command.READ, (1 << 64) - 1, 1, b"", Error.EINVAL),
        (Command.READ, 0, (32 << 20) + 1, b"", Error.EINVAL),
        (Command.READ, 0, 0, b"", Error.EINVAL),
        (Command.WRITE, 8 * CHUNK_BYTES - 1, 2, b"xx", Error.ENOSPC),
        (Command.TRIM, 8 * CHUNK_BYTES, 1, b"", Error.EINVAL),
        (Command.WRITE_ZEROES, 8 * CHUNK_BYTES, 1, b"", Error.ENOSPC),
        (Command.BLOCK_STATUS, 0, 1, b"", Error.EINVAL),
        (77, 0, 1, b"", Error.EINVAL),
    ],
)
def test_what_cannot_be_is_refused_and_the_connection_stays(server, disk, command, offset, length, payload, error):
    with Client(server.path) as client:
        client.begin("disk")
        assert client.ask(command, offset, length, payload=payload) == (error, b"")
        assert client.ask(Command.READ, 0, 1) == (0, b"\0")


def test_trim_and_zeroes_give_room_back_unless_holes_are_unwanted(server, disk):
    disk.write(0, b"x" * 3 * CHUNK_BYTES)
    with Client(server.path) as client:
        client.begin("disk")
        assert client.ask(Command.TRIM, 0, CHUNK_BYTES)[0] == 0
        assert client.ask(Command.WRITE_ZEROES, CHUNK_BYTES, CHUNK_BYTES)[0] == 0
        assert disk.allocated_bytes == CHUNK_BYTES
        assert client.ask(Command.WRITE_ZEROES, 0, CHUNK_BYTES, flags=CommandFlag.NO_HOLE)[0] == 0
        assert client.ask(Command.FLUSH)[0] == client.ask(Command.CACHE, 0, 1)[0] == 0
    assert disk.allocated_bytes == 2 * CHUNK_BYTES
    assert disk.read(0, 2 * CHUNK_BYTES) == bytes(2 * CHUNK_BYTES)


def test_structured_replies_tell_holes_from_data(server, disk):
    disk.write(CHUNK_BYTES, b"d" * CHUNK_BYTES)
    with Client(server.path) as client:
        client.socket.sendall(struct.pack(">I", 3))
        client.option(Option.STRUCTURED_REPLY)
        client.option(Option.SET_META_CONTEXT, b"\0\0\0\x04disk\0\0\0\x01\0\0\0\x0fbase:allocation")
        client.option(Option.GO, b"\0\0\0\x04disk\0\0")
        hole, data, tail = client.ask_structured(Command.READ, CHUNK_BYTES - 3, CHUNK_BYTES + 5)
        assert hole == (Chunk.OFFSET_HOLE, struct.pack(">QI", CHUNK_BYTES - 3, 3))
        assert data == (Chunk.OFFSET_DATA, struct.pack(">Q", CHUNK_BYTES) + b"d" * CHUNK_BYTES)
        assert tail == (Chunk.OFFSET_HOLE, struct.pack(">QI", 2 * CHUNK_BYTES, 2))
        ((kind, data),) = client.ask_structured(Command.READ, CHUNK_BYTES - 1, 2, flags=CommandFlag.DF)
        assert (kind, data[8:]) == (Chunk.OFFSET_DATA, b"\0d")
        ((_kind, status),) = client.ask_structured(Command.BLOCK_STATUS, 0, 8 * CHUNK_BYTES)
        sizes = [(size // CHUNK_BYTES, flags) for size, flags in struct.iter_unpack(">II", status[4:])]
        assert sizes == [(1, 3), (1, 0), (6, 3)]
        ((_kind, status),) = client.ask_structured(Command.BLOCK_STATUS, 0, 8 * CHUNK_BYTES, flags=CommandFlag.REQ_ONE)
        assert len(status) == 12
        ((kind, refusal),) = client.ask_structured(Command.READ, 8 * CHUNK_BYTES, 1)
        assert (kind, struct.unpack(">I", refusal[:4])[0]) == (Chunk.ERROR, Error.EINVAL)
        assert client.ask_structured(Command.WRITE, 0, 1, payload=b"w") == [(Chunk.NONE, b"")]


def test_errors_of_a_volume_reach_the_client(server):
    store = VolumeStore([Pool(name="small", total_bytes=CHUNK_BYTES)])
    volume = store.create_volume(4 * CHUNK_BYTES)
    attachment = store.attach(volume.id, "server")
    server.export("volume", store.open(attachment.id))
    with Client(server.path) as client:
        client.begin("volume")
        assert client.ask(Command.WRITE, 0, 1, payload=b"x")[0] == 0
        assert client.ask(Command.WRITE, CHUNK_BYTES, 1, payload=b"x")[0] == Error.ENOSPC
        store.faults.add(FaultRule("volume.read", error=OSError(errno.EIO, "bad sector"), times=1))
        assert client.ask(Command.READ, 0, 1)[0] == Error.EIO
        assert client.ask(Command.READ, 0, 1) == (0, b"x")
        store.detach(attachment.id)
        assert client.ask(Command.READ, 0, 1)[0] == Error.ESHUTDOWN


def test_read_only_export_says_so_and_means_it(server):
    server.export("fixed", SparseDisk(100), read_only=True)
    with Client(server.path) as client:
        _size, flags = client.begin("fixed")
        assert flags & nbd.TransmissionFlag.READ_ONLY
        assert client.ask(Command.WRITE, 0, 1, payload=b"x")[0] == Error.EPERM


def test_withdrawn_export_lets_its_clients_go_and_no_others(server, disk):
    server.export("other", SparseDisk(100))
    with Client(server.path) as client, Client(server.path) as other:
        client.begin("disk")
        other.begin("other")
        server.withdraw("disk")
        with pytest.raises(ConnectionError):
            client.receive(1)
        assert other.ask(Command.READ, 0, 1) == (0, b"\0")
    with pytest.raises(NotFound):
        server.withdraw("disk")


def test_pieces_are_offered_with_structured_replies_alone(server, disk):
    with Client(server.path) as client, Client(server.path) as other:
        assert not client.begin("disk")[1] & nbd.TransmissionFlag.SEND_DF
        assert other.begin("disk", structured=True)[1] & nbd.TransmissionFlag.SEND_DF
        assert client.ask(Command.READ, 0, 1, flags=CommandFlag.DF)[0] == Error.EINVAL
        ((kind, _data),) = other.ask_structured(Command.READ, 0, 1, flags=CommandFlag.DF)
        assert kind == Chunk.OFFSET_DATA


@pytest.mark.parametrize(
    ("command", "flags"),
    [(Command.READ, 1 << 15), (Command.TRIM, CommandFlag.NO_HOLE), (Command.FLUSH, CommandFlag.REQ_ONE)],
)
def test_unknown_flags_are_refused(server, disk, command, flags):
    with Client(server.path) as client:
        client.begin("disk")
        assert client.ask(command, 0, 1, flags=flags)[0] == Error.EINVAL
        assert client.ask(command, 0, 1, flags=CommandFlag.FUA)[0] == 0


def test_option_that_is_too_long_is_answered(server, disk):
    with Client(server.path) as client:
        client.socket.sendall(struct.pack(">I", 3))
        assert client.option(Option.INFO, bytes(70_000))[0][0] == Reply.TOO_BIG
        assert client.option(Option.LIST)[-1] == (Reply.ACK, b"")


def test_message_ends_with_a_character(server, disk):
    server.export("odd", Odd())
    with Client(server.path) as client:
        client.begin("odd", structured=True)
        ((kind, data),) = client.ask_structured(Command.READ, 0, 1, flags=CommandFlag.DF)
        assert (kind, data[6:].decode()) == (Chunk.ERROR, "x" + "\u00e4" * 2047)


class Odd(SparseDisk):
    """A disk that cannot be read, and says so at length."""

    def __init__(self):
        super().__init__(100)

    def read(self, offset, length):
        raise RuntimeError("x" + "\u00e4" * 5000)


def test_server_without_descriptors_goes_on_later(tmp_path, monkeypatch):
    accept, failures = socket.socket.accept, [errno.EMFILE, errno.ECONNABORTED]

    def failing(listener):
        if failures:
            raise OSError(failures.pop(), "not now")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", failing)
    with NbdServer(tmp_path / "socket") as server, Client(server.path) as client:
        client.socket.sendall(struct.pack(">I", 3))
        assert client.option(Option.LIST) == [(Reply.ACK, b"")]
    assert failures == []


def test_export_that_is_withdrawn_as_it_is_chosen(server, disk):
    with Client(server.path) as client:
        client.socket.sendall(struct.pack(">I", 3))
        exports = server._exports
        chosen = exports["disk"]

        class Leaving(SparseDisk):
            """Is withdrawn as soon as somebody asks how long it is."""

            @property
            def size_bytes(self):
                exports.pop("leaving", None)
                return 100

        server.export("leaving", Leaving(100))
        client.option(Option.GO, b"\0\0\0\x07leaving\0\0")
        with pytest.raises(ConnectionError):
            client.receive(1)
        assert exports == {"disk": chosen}


def test_name_that_is_taken_is_refused(server, disk):
    with pytest.raises(InvalidInput, match="taken"):
        server.export("disk", disk)


def test_socket_is_its_owners_alone_and_goes_with_the_server(server, disk):
    assert server.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInput, match="Address already in use"):
        NbdServer(server.path)
    client = Client(server.path)
    client.begin("disk")
    server.stop()
    with pytest.raises(ConnectionError):
        client.receive(1)
    client.socket.close()
    assert not server.path.exists()
    server.stop()
