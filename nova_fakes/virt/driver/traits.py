"""The traits that a host has by what it is equipped with, as libvirt's driver reports them of QEMU on KVM."""

from __future__ import annotations

import functools

import os_traits

from nova_fakes.virt.inventory import Inventory

__all__ = ["host_traits"]

#: Devices that QEMU can give a guest on x86: images may ask for any of them.
_EMULATED = frozenset(
    {
        os_traits.COMPUTE_FIRMWARE_BIOS,
        os_traits.COMPUTE_FIRMWARE_UEFI,
        os_traits.COMPUTE_NET_VIRTIO_PACKED,
        os_traits.COMPUTE_SECURITY_TPM_1_2,
        os_traits.COMPUTE_SECURITY_TPM_2_0,
        os_traits.COMPUTE_SECURITY_TPM_CRB,
        os_traits.COMPUTE_SECURITY_TPM_TIS,
        *(f"COMPUTE_GRAPHICS_MODEL_{model}" for model in ("BOCHS", "CIRRUS", "NONE", "QXL", "VGA", "VIRTIO", "VMVGA")),
        *(f"COMPUTE_NET_VIF_MODEL_{model}" for model in ("E1000", "E1000E", "IGB", "NE2K_PCI", "PCNET", "RTL8139")),
        *(f"COMPUTE_NET_VIF_MODEL_{model}" for model in ("SPAPR_VLAN", "VIRTIO", "VMXNET3")),
        *(f"COMPUTE_STORAGE_BUS_{bus}" for bus in ("FDC", "IDE", "SATA", "SCSI", "USB", "VIRTIO")),
    }
)
#: What libvirt calls otherwise than placement does.
_FEATURES = {"aes": "AESNI", "pclmuldq": "CLMUL", "pni": "SSE3", "sha-ni": "SHA", "fma": "FMA3", "lzcnt": "ABM"}
_VENDORS = {"vmx": "INTEL", "svm": "AMD"}


@functools.cache
def _processor_traits(architecture: str, features: tuple[str, ...]) -> frozenset[str]:
    """Return the traits of a processor; a feature for which placement has no trait has none."""
    wanted = {f"HW_ARCH_{architecture.upper()}", f"COMPUTE_ARCH_{architecture.upper()}"}
    if architecture == "x86_64":
        for feature in features:
            name = _FEATURES.get(feature, feature.replace(".", "").replace("-", "_").upper())
            wanted.add(f"HW_CPU_X86_{name}")
            if feature in _VENDORS:
                wanted.add(f"HW_CPU_X86_{_VENDORS[feature]}_{name}")
    return frozenset(wanted & set(os_traits.get_traits()))


def host_traits(inventory: Inventory) -> frozenset[str]:
    """Return the traits of a host's processor and of the devices that its guests can be given."""
    found = _EMULATED | _processor_traits(inventory.architecture, inventory.cpu_features)
    if inventory.topology()["threads"] > 1:
        found |= {os_traits.HW_CPU_HYPERTHREADING}
    return found
