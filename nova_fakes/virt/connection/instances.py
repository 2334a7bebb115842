"""Instances as they were given in 2011: mappings or objects that say of themselves what they know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import NAMESPACE_DNS, uuid5

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.nic import Nic

__all__ = ["DEFAULTS", "FakeInstance", "InstanceInfo", "get", "name_of", "one_nic", "spec_of"]

#: Sizes of an instance that does not say its own.
DEFAULTS = {"vcpus": 1, "memory_mb": 512, "local_gb": 0}


class InstanceInfo(NamedTuple):
    """An instance in a list: its name and its power state, by nova's numbers."""

    name: str
    state: int


class FakeInstance:
    """The least that is an instance: a name and a power state."""

    def __init__(self, name: str, state: int) -> None:
        self.name = name
        self.state = state


def get(instance: Any, name: str) -> Any:
    """Return what an instance says of itself, as a mapping or as an object; None where it says nothing."""
    if isinstance(instance, Mapping):
        return instance.get(name)
    return getattr(instance, name, None)


def name_of(instance: Any) -> str:
    """Return the name of an instance, which may be given by it alone.

    :raises InvalidInput: it has none
    """
    name = instance if isinstance(instance, str) else get(instance, "name")
    if not name:
        raise InvalidInput("name of an instance", name, "give the instance a name")
    return str(name)


def spec_of(instance: Any) -> GuestSpec:
    """Return what is to be made of an instance; one without a UUID has one that follows from its name."""
    name = name_of(instance)
    sizes = {key: default if (value := get(instance, key)) is None else value for key, default in DEFAULTS.items()}
    image = get(instance, "image_ref") or get(instance, "image_id")
    return GuestSpec(
        uuid=str(get(instance, "uuid") or uuid5(NAMESPACE_DNS, name)),
        name=name,
        vcpus=sizes["vcpus"],
        memory_mb=sizes["memory_mb"],
        root_gb=sizes["local_gb"],
        image=str(image) if image else None,
        display_name=get(instance, "display_name"),
        project_id=get(instance, "project_id"),
        hostname=get(instance, "hostname"),
        key_name=get(instance, "key_name"),
    )


def one_nic(name: str, instance: Any) -> dict[str, Nic]:
    """Return the interface of an instance of which nothing else is known, by its VIF id."""
    identity = uuid5(NAMESPACE_DNS, f"{name}.vif")
    address = get(instance, "mac_address") or "02:16:3e:" + identity.bytes[:3].hex(":")
    nic = Nic({"id": str(identity), "address": address, "devname": f"tap{identity.hex[:11]}", "type": "bridge"})
    return {nic.id: nic}
