"""Checksum offload of an interface, switched off by ioctl(2) as ethtool(8) does it."""

import ctypes
import fcntl
import socket
import struct

from nova_fakes.exceptions import RealizerError

__all__ = ["stop_checksum_offload"]

# include/uapi/linux/{sockios,ethtool}.h
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17


def stop_checksum_offload(devname: str) -> None:
    """Let the interface of this thread's namespace compute checksums before it sends.

    :raises RealizerError: the kernel refuses
    """
    command = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", devname.encode(), ctypes.addressof(command))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            fcntl.ioctl(sock, _SIOCETHTOOL, request)
        except OSError as error:
            raise RealizerError(f"{devname} keeps its checksum offload: {error.strerror}") from error
