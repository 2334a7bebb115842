"""The namespaces of instances: made in a row for many, or brought from another fabric."""

import os
from collections.abc import Sequence
from pathlib import Path

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.bridges import delete
from nova_fakes.virt.vif.instances import Instance
from nova_fakes.virt.vif.ledger import Entry, Ledger
from nova_fakes.virt.vif.plan import MakeNamespace
from nova_fakes.virt.vif.stays import Inside, Stays
from nova_fakes.virt.vif.steps import BringNamespace

__all__ = ["GuestNamespaces"]


class GuestNamespaces:
    """Makes instances' namespaces; in the thread that enters them.

    :param ledger: where each is written down first
    :param directory: where they get their names
    :param stays: what is open inside instances
    """

    def __init__(self, ledger: Ledger, directory: Path, stays: Stays) -> None:
        self._ledger = ledger
        self._directory = directory
        self._stays = stays

    def make(self, operations: Sequence[MakeNamespace]) -> list[Instance | BaseException]:
        """Make namespaces: for each the instance, or why it failed; a failed one left nothing."""
        made: list[Instance | BaseException] = []
        entries: list[Entry | BaseException] = []
        with self._ledger.together():
            for operation in operations:
                try:
                    entries.append(self._write_down(operation))
                except Exception as error:
                    entries.append(error)
        for operation, entry in zip(operations, entries, strict=True):
            made.append(entry if isinstance(entry, BaseException) else self._make(operation, entry))
        return made

    def bring(self, operation: BringNamespace) -> Instance:
        """Take a namespace in from another fabric, without the interfaces that it had there.

        :raises RealizerError: it cannot be had; nothing of it is left here
        """
        uuid = operation.instance
        path = self._path(uuid)
        if os.path.lexists(path):
            path += ".2"  # the other fabric's name for it, in the same directory
        entry = self._ledger.add("namespace", path, role="guest", instance=uuid, host=operation.host)
        try:
            namespaces.share(operation.source, path)
            try:
                socket = self._stays.reach(uuid, path).socket
                for interface in operation.interfaces:
                    delete(socket, interface.name)
                entry = self._ledger.note(entry, inode=namespaces.inode(path))
            except BaseException:
                self._stays.let_go(uuid)
                namespaces.remove(path)
                raise
        except BaseException:
            self._ledger.done(entry)
            raise
        return Instance(uuid, path, operation.host, entry)

    def reach(self, instance: Instance) -> Inside:
        """Return the way into an instance, and see that the ledger knows by what its namespace is known again.

        It is written down only now, to be written with the links where there are any.

        :raises RealizerError: there is no such namespace
        """
        if instance.unnoted is not None:
            instance.entry = self._ledger.note(instance.entry, inode=instance.unnoted)
            instance.unnoted = None
        return self._stays.reach(instance.uuid, instance.path)

    def _path(self, uuid: str) -> str:
        return f"{self._directory}/fake-{uuid}"

    def _write_down(self, operation: MakeNamespace) -> Entry:
        path = self._path(operation.instance)
        if os.path.lexists(path):
            raise RealizerError(f"{path} exists and is not ours; remove it (`ip netns delete`) or use another place")
        return self._ledger.add("namespace", path, role="guest", instance=operation.instance, host=operation.host)

    def _make(self, operation: MakeNamespace, entry: Entry) -> Instance | BaseException:
        uuid = operation.instance
        try:
            inode = self._stays.make(uuid, entry.name)
        except BaseException as error:
            self._ledger.done(entry)
            return error
        return Instance(uuid, entry.name, operation.host, entry, pristine=True, unnoted=inode)
