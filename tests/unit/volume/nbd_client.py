"""A client that speaks NBD byte by byte, so that it can say what no library would."""

import socket
import struct

from nova_fakes.volume import nbd


class Client:
    """One connection.

    :param address: of the server's socket
    """

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(address))
        assert self.receive(len(nbd.GREETING)) == nbd.GREETING

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def receive(self, length):
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise ConnectionError("the server has closed the connection")
            data += piece
        return data

    def option(self, option, data=b""):
        """Ask for an option; return the replies as (type, data) up to the last one."""
        self.socket.sendall(nbd.OPTION.pack(nbd.OPTION_MAGIC, option, len(data)) + data)
        replies = []
        while True:
            _magic, of, kind, length = struct.unpack(">QIII", self.receive(20))
            assert of == option
            replies.append((kind, self.receive(length)))
            if kind == nbd.Reply.ACK or kind >> 31:
                return replies

    def begin(self, name, *, structured=False, flags=3):
        """Go to an export; return its size and flags."""
        self.socket.sendall(struct.pack(">I", flags))
        if structured:
            self.option(nbd.Option.STRUCTURED_REPLY)
        replies = self.option(nbd.Option.GO, struct.pack(">I", len(name)) + name.encode() + b"\0\0")
        assert replies[-1][0] == nbd.Reply.ACK, replies
        return struct.unpack(">HQH", replies[0][1])[1:]

    def request(self, command, offset=0, length=0, *, payload=b"", flags=0, cookie=7, magic=nbd.REQUEST_MAGIC):
        self.socket.sendall(nbd.REQUEST.pack(magic, flags, command, cookie, offset, length) + payload)

    def ask(self, command, offset=0, length=0, **values):
        """Make a request; return the error of its simple reply, and the data that follow."""
        self.request(command, offset, length, **values)
        _magic, error, cookie = struct.unpack(">IIQ", self.receive(16))
        assert cookie == values.get("cookie", 7)
        return error, self.receive(length) if command == nbd.Command.READ and not error else b""

    def ask_structured(self, command, offset=0, length=0, **values):
        """Make a request; return the parts of its structured reply as (type, data)."""
        self.request(command, offset, length, **values)
        parts = []
        while True:
            _magic, flags, kind, _cookie, size = struct.unpack(">IHHQI", self.receive(20))
            parts.append((kind, self.receive(size)))
            if flags & 1:
                return parts
