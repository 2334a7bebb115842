"""What this machine and user allow, found out by trying.

`probe` reads the settings that decide, and tries the operations themselves in a process of its own, whose namespaces
end with it: a setting says what should work, only trying says what does. Each finding names its value and, where
something is missing, what to type.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from nova_fakes.exceptions import NovaFakesError
from nova_fakes.virt.vif import namespaces, netlink, ovs_service, rtnetlink

__all__ = ["Finding", "can_realize_bridges", "can_realize_switches", "probe"]

Status = Literal["ok", "warning", "missing"]

_OPEN_VSWITCH = "Open vSwitch"
#: Seconds that the trying process may take on a busy machine.
_TRIAL_TIMEOUT_S = 60
#: Instances that share one machine fill its neighbour table and its limits; below these it shows before a hundred.
_ENOUGH_NAMESPACES = 1000
_ENOUGH_NEIGHBOURS = 1024
_ENOUGH_INOTIFY = 128
_ENOUGH_FILES = 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `value` is what was found, `cure` what to do where `status` is not ok."""

    name: str
    status: Status
    value: str
    cure: str = ""


def probe() -> list[Finding]:
    """Find out what this machine and user allow; leaves nothing behind.

    ``namespaces``, ``veth`` and ``bridge`` are what the bridge realizer needs, and ``Open vSwitch`` the ovs realizer
    besides; everything else explains them, or limits how much fits.
    """
    return [
        *_trials(),
        _root(),
        _user_namespaces(),
        *_limits(),
        _tun(),
        _open_vswitch(),
        _program("ip", "iproute2", "apt-get install iproute2", "only needed to look at what was made"),
        _program("ping", "ping", "apt-get install iputils-ping", "nova-fakes brings its own"),
    ]


def can_realize_bridges(findings: list[Finding]) -> bool:
    """Tell whether the bridge realizer works here."""
    by_name = {finding.name: finding for finding in findings}
    return all(by_name[name].status == "ok" for name in ("namespaces", "veth", "bridge"))


def can_realize_switches(findings: list[Finding]) -> bool:
    """Tell whether the ovs realizer works here, with a switch of our own."""
    on_switch = next(finding for finding in findings if finding.name == _OPEN_VSWITCH)
    return can_realize_bridges(findings) and on_switch.status == "ok"


def _trials() -> list[Finding]:
    """Try in another process: namespaces move whole threads, and what it makes ends with it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nova_fakes.virt.vif.capabilities"],
            capture_output=True,
            text=True,
            timeout=_TRIAL_TIMEOUT_S,
            env=environment,
            check=True,
        )
        return [Finding(**fields) for fields in json.loads(done.stdout)]
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        cure = "run `python -m nova_fakes.virt.vif.capabilities` and read what it says"
        return [Finding(name, "missing", str(detail).strip()[-200:], cure) for name in ("namespaces", "veth", "bridge")]


def _try_all() -> Iterator[Finding]:
    """Try each operation in turn; what depends on one that failed is missing too."""
    as_user = os.geteuid() != 0

    def namespace() -> str:
        if as_user:
            namespaces.enter_user_namespace()
        namespaces.unshare_network()
        return "in a user namespace" if as_user else "as root"

    def veth() -> str:
        with netlink.Socket() as socket:
            socket.send([_veth()])
            return "made" if socket.link("probe0") is not None else "not there"

    def bridge() -> str:
        with netlink.Socket() as socket:
            socket.send([rtnetlink.BRIDGE.fill(devname=b"probebr", mac=b"\x02nova\x01", mtu=1500, flags=rtnetlink.UP)])
            link = socket.link("probebr")
            if link is None:
                return "not there"
            socket.send([rtnetlink.LINK_ATTACH.fill(devname=b"probe0", bridge=link.index)])
            return "made, with a port"

    trials: tuple[tuple[str, Callable[[], str], str], ...] = (
        ("namespaces", namespace, "run as root, or allow user namespaces as the findings below say"),
        ("veth", veth, "load the kernel module: modprobe veth"),
        ("bridge", bridge, "load the kernel module: modprobe bridge"),
    )
    failed = ""
    for name, attempt, cure in trials:
        if failed == "namespaces":
            yield Finding(name, "missing", "not tried: no namespaces", cure)
            continue
        try:
            yield Finding(name, "ok", attempt())
        except (NovaFakesError, OSError) as error:
            failed = failed or name
            yield Finding(name, "missing", str(error), cure)


def _veth() -> rtnetlink.Message:
    return rtnetlink.VETH.fill(
        index=0,
        devname=b"probe0",
        mac=b"\x02nova\x02",
        bridge=0,
        flags=0,
        mtu=1500,
        peer_index=0,
        peer_name=b"probe1",
        peer_mac=b"\x02nova\x03",
    )


def _root() -> Finding:
    if os.geteuid() != 0:
        return Finding("root", "warning", f"uid {os.geteuid()}", "not needed where user namespaces are allowed")
    return Finding("root", "ok", "in a user namespace" if namespaces.in_user_namespace() else "yes")


def _user_namespaces() -> Finding:
    """Look at the three switches by which distributions forbid user namespaces."""
    name = "user-namespaces"
    switches = (
        ("kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1 (Debian)"),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 23.10 and later)",
        ),
        ("user.max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000 (RHEL)"),
    )
    for key, forbidding, cure in switches:
        if _sysctl(key) == forbidding:
            return Finding(name, "warning" if os.geteuid() == 0 else "missing", f"{key} = {forbidding}", cure)
    if not os.path.exists("/proc/self/ns/user"):
        return Finding(name, "missing", f"not in kernel {platform.release()}", "use a kernel with CONFIG_USER_NS")
    return Finding(name, "ok", "allowed")


def _limits() -> Iterator[Finding]:
    for key, enough, why in (
        ("user.max_net_namespaces", _ENOUGH_NAMESPACES, "each instance takes one"),
        ("user.max_user_namespaces", 1, "a run without root takes one"),
        ("net.ipv4.neigh.default.gc_thresh3", _ENOUGH_NEIGHBOURS, "one table for all instances"),
        ("fs.inotify.max_user_instances", _ENOUGH_INOTIFY, "daemons in many namespaces take several each"),
    ):
        value = _sysctl(key)
        if value is None:
            yield Finding(key, "warning", "not readable", f"sysctl {key} shows it as root")
        elif int(value) < enough:
            yield Finding(key, "warning", value, f"sysctl -w {key}={enough} or more: {why}")
        else:
            yield Finding(key, "ok", value)
    files = os.sysconf("SC_OPEN_MAX")
    status: Status = "ok" if files >= _ENOUGH_FILES else "warning"
    yield Finding("open-files", status, str(files), "" if status == "ok" else f"ulimit -n {_ENOUGH_FILES} or more")


def _tun() -> Finding:
    try:
        with open("/dev/net/tun", "rb+", buffering=0):
            return Finding("tun", "ok", "/dev/net/tun opens")
    except OSError as error:
        return Finding("tun", "warning", str(error), "only userspace datapaths need it: modprobe tun")


def _open_vswitch() -> Finding:
    lack = ovs_service.missing()
    if lack is not None:
        return Finding(_OPEN_VSWITCH, "warning", lack[0], f"{lack[1]} (only the ovs realizer needs it)")
    return Finding(_OPEN_VSWITCH, "ok", ovs_service.version())


def _program(program: str, name: str, install: str, remark: str) -> Finding:
    # Administrators' programs are often not in an ordinary user's PATH.
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is not None:
        return Finding(name, "ok", path)
    return Finding(name, "warning", f"no {program}", f"{install} ({remark})")


def _sysctl(key: str) -> str | None:
    try:
        return Path("/proc/sys", *key.split(".")).read_text().split()[0]
    except (OSError, IndexError):
        return None


if __name__ == "__main__":
    json.dump([asdict(finding) for finding in _try_all()], sys.stdout)
