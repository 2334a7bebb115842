"""A volume's file as a host has it that was told of it by `connection_info` alone: protocol `local`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.errors import DeviceGone, ReadOnly
from nova_fakes.volume.file_disk import FileDisk
from nova_fakes.volume.medium import Buffer

__all__ = ["LocalDevice"]


class LocalDevice:
    """A medium over a file that whoever keeps the volume may take away: it is opened for each operation.

    :param path: of the file
    :param read_only: whether nothing may be written
    """

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self.read_only = read_only

    @classmethod
    def of(cls, connection_info: Mapping[str, Any]) -> LocalDevice | None:
        """Return the device that a `connection_info` of the protocol `local` names; None of another protocol."""
        data = connection_info.get("data") or {}
        if connection_info.get("driver_volume_type") != "local" or not data.get("device_path"):
            return None
        return cls(str(data["device_path"]), read_only=data.get("access_mode") == "ro")

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        with self._opened() as disk:
            return disk.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes there.

        :raises DeviceGone: the file is there no more
        :raises InvalidInput: beyond the end
        """
        with self._opened() as disk:
            return disk.read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        """Put bytes there.

        :raises DeviceGone: the file is there no more
        :raises ReadOnly: nothing may be written
        :raises InvalidInput: beyond the end
        :raises PoolFull: the file system is full
        """
        with self._written() as disk:
            disk.write(offset, data)

    def discard(self, offset: int, length: int) -> None:
        """Let the bytes there be zero; the same is raised as by :meth:`write`."""
        with self._written() as disk:
            disk.discard(offset, length)

    def flush(self) -> None:
        """Wait until the file's bytes are on the machine's disk; DeviceGone, the file is there no more."""
        with self._opened() as disk:
            disk.flush()

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield offset and length of what is no hole in a range, or anywhere, in order."""
        with self._opened() as disk:
            yield from disk.extents(offset, length)

    def _opened(self) -> FileDisk:
        try:
            return FileDisk(self.path)
        except InvalidInput as error:
            raise DeviceGone(f"{self.path} is there no more: the volume was detached") from error

    def _written(self) -> FileDisk:
        if self.read_only:
            raise ReadOnly(f"{self.path} is attached read-only")
        return self._opened()
