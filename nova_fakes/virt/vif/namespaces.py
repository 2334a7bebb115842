"""Network namespaces: making, naming, entering and leaving them, as root or as an ordinary user.

A namespace gets its name by a bind mount of ``/proc/thread-self/ns/net`` over an empty file, as ip-netns(8) does it, so
that ``ip netns exec NAME`` finds those under ``/run/netns``. A thread that entered a namespace in a user namespace
cannot go back to the machine's own; that is why whatever happens inside one happens in a thread that ends there.
"""

import ctypes
import errno
import importlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nova_fakes.exceptions import NamespacesUnavailable, RealizerError

__all__ = [
    "RUN_NETNS",
    "begin_thread",
    "enter",
    "enter_user_namespace",
    "in_namespace",
    "in_thread",
    "in_user_namespace",
    "inode",
    "join",
    "make",
    "native_select",
    "native_threading",
    "open_namespace",
    "remove",
    "run_in",
    "share",
    "unshare_network",
]

T = TypeVar("T")

#: Where ip-netns(8) looks.
RUN_NETNS = Path("/run/netns")

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.unshare.argtypes = [ctypes.c_int]
_libc.setns.argtypes = [ctypes.c_int, ctypes.c_int]

_CURES = {
    errno.EPERM: "run as root, or allow user namespaces (see `nova-fakes doctor`)",
    errno.EACCES: "run as root, or let AppArmor allow user namespaces (see `nova-fakes doctor`)",
    errno.ENOSPC: "raise user.max_net_namespaces and user.max_user_namespaces (sysctl)",
    errno.EUSERS: "user namespaces are nested too deep; run outside one",
    errno.ENOSYS: "this kernel has no namespaces; use the null realizer",
    errno.EINVAL: "a process with threads cannot enter a user namespace; do it first of all",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


def unshare_network() -> None:
    """Move the calling thread into a new network namespace.

    :raises NamespacesUnavailable: the kernel refuses; the message names the cure
    """
    _check(_libc.unshare(_CLONE_NEWNET), "make a network namespace")


def make(path: str | os.PathLike[str]) -> None:
    """Make a network namespace, name it by `path` and leave the calling thread inside it.

    :raises NamespacesUnavailable: the kernel refuses; nothing is left behind
    :raises RealizerError: something is at `path` already
    """
    target = _place(path)
    try:
        unshare_network()
        _check(_libc.mount(_OWN.encode(), target.encode(), None, _MS_BIND, None), f"mount a namespace at {target}")
    except BaseException:
        os.unlink(target)
        raise


def share(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Give a network namespace another name, also one of another process's mounts (``/proc/<pid>/root/…``).

    :raises NamespacesUnavailable: the kernel refuses; nothing is left behind
    :raises RealizerError: something is at `path` already, or there is no namespace at `source`
    """
    fd = open_namespace(source)
    try:
        target = _place(path)
        try:
            _check(
                _libc.mount(f"/proc/self/fd/{fd}".encode(), target.encode(), None, _MS_BIND, None),
                f"mount {os.fspath(source)} at {target}",
            )
        except BaseException:
            os.unlink(target)
            raise
    finally:
        os.close(fd)


def _place(path: str | os.PathLike[str]) -> str:
    """Make the file over which a namespace is mounted."""
    target = os.fspath(path)
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_CLOEXEC, 0o444))
    except FileExistsError:
        raise RealizerError(f"{target} exists and is not ours to use; remove it or choose another directory") from None
    except OSError as error:
        raise RealizerError(f"{target} cannot be made: {error.strerror}; choose a directory you may write") from error
    return target


def remove(path: str | os.PathLike[str]) -> None:
    """Take a namespace's name away; it ends when nothing inside it runs any more. What is not there is no error."""
    target = os.fsencode(path)
    while _libc.umount2(target, _MNT_DETACH | _UMOUNT_NOFOLLOW) == 0:
        pass  # a name that was mounted over twice
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOENT):  # not mounted, not there
        raise NamespacesUnavailable(
            f"{os.fsdecode(target)} cannot be unmounted: {os.strerror(code)}; {_CURES.get(code, 'try it as root')}"
        )
    try:
        os.unlink(target)
    except FileNotFoundError:
        pass


def inode(path: str | os.PathLike[str]) -> int | None:
    """Return the number that identifies the namespace at `path`; None where there is none."""
    try:
        return _nsfs_inode(os.stat(path))
    except OSError:
        return None


def open_namespace(path: str | os.PathLike[str]) -> int:
    """Open a namespace; the caller closes the descriptor.

    :raises RealizerError: there is no namespace at `path`
    """
    try:
        # Whatever else may lie there, it is not waited for.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RealizerError(f"no network namespace at {os.fspath(path)}: {error.strerror}") from error
    if _nsfs_inode(os.fstat(fd)) is None:
        os.close(fd)
        raise RealizerError(f"{os.fspath(path)} is no network namespace: its owner has ended; plug the instance again")
    return fd


def enter(namespace: int | str | os.PathLike[str]) -> None:
    """Move the calling thread into a network namespace, given by descriptor or path.

    :raises RealizerError: there is none
    :raises NamespacesUnavailable: it is not ours to enter
    """
    if isinstance(namespace, int):
        _check(_libc.setns(namespace, _CLONE_NEWNET), "enter a network namespace")
        return
    fd = open_namespace(namespace)
    try:
        _check(_libc.setns(fd, _CLONE_NEWNET), f"enter {os.fspath(namespace)}")
    finally:
        os.close(fd)


def native_threading() -> Any:
    """Return the threading module with threads of the operating system.

    Under eventlet's monkey patching, with which a stock nova-compute may run, ``threading.Thread`` makes green threads:
    they share one real thread, and entering a namespace in one would move all of them.
    """
    return _native("thread", "threading")


def native_select() -> Any:
    """Return the select module as the operating system has it: eventlet's monkey patching takes poll and epoll away."""
    return _native("select", "select")


def _native(patch: str, module: str) -> Any:
    eventlet_patcher = sys.modules.get("eventlet.patcher")
    if eventlet_patcher is not None and eventlet_patcher.is_monkey_patched(patch):
        return eventlet_patcher.original(module)
    return importlib.import_module(module)


def in_namespace(namespace: int | str | os.PathLike[str], function: Callable[[], T]) -> T:
    """Call a function inside a network namespace, in a thread of its own, and return what it returns.

    :raises RealizerError: there is no such namespace
    :raises Exception: whatever the function raises
    """

    def inside() -> T:
        enter(namespace)
        return function()

    return in_thread(inside)


def in_thread(function: Callable[[], T]) -> T:
    """Call a function that moves its thread, in a thread of its own that ends with it, and return what it returns.

    :raises Exception: whatever the function raises
    """
    return begin_thread(function)()


def begin_thread(function: Callable[[], T]) -> Callable[[], T]:
    """Begin a call as `in_thread` makes it; what is returned waits for its end, and returns or raises what it did."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = native_threading().Thread(target=run, name="in-namespace", daemon=True)
    thread.start()

    def finish() -> T:
        thread.join()
        if failure:
            raise failure[0]
        return outcome[0]

    return finish


def run_in(
    namespace: int | str | os.PathLike[str],
    argv: Sequence[str],
    *,
    timeout_s: float | None = None,
    environment: Mapping[str, str] | None = None,
    capture: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command inside a network namespace and wait for it.

    :param capture: False hands our standard streams to the command
    :raises RealizerError: there is no such namespace
    :raises FileNotFoundError: there is no such command
    :raises subprocess.TimeoutExpired: it did not end in time, and has been killed
    """

    def run() -> subprocess.CompletedProcess[str]:
        # A child gets the namespace of the thread that starts it.
        return subprocess.run(
            list(argv), text=True, capture_output=capture, timeout=timeout_s, env=environment, check=False
        )

    return in_namespace(namespace, run)


def in_user_namespace() -> bool:
    """Tell whether this process runs in a user namespace other than the machine's first."""
    try:
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def enter_user_namespace() -> None:
    """Make this process root of a user namespace and a mount namespace of its own; it keeps its network.

    For an ordinary user's process, first of all: the kernel refuses it to a process with threads. Mounts made
    afterwards are seen by this process and its children alone, and end with them.

    :raises NamespacesUnavailable: user namespaces are forbidden here; the message names the cure
    """
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "make a user namespace")
    try:
        # Without this the kernel lets nobody but the machine's root write the group map (user_namespaces(7)).
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise NamespacesUnavailable(
            f"the new user namespace has no users: {error.strerror}; {_CURES.get(error.errno or 0, 'run as root')}"
        ) from error
    # Ubuntu's AppArmor lets the namespace be made and then takes its capabilities: here is where that shows.
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "use the new user namespace")


def join(pid: int) -> None:
    """Enter the user and mount namespaces of a process, where they are not ours already; for a command's beginning.

    :raises RealizerError: there is no such process
    :raises NamespacesUnavailable: it is another user's
    """
    for kind, flag in (("user", _CLONE_NEWUSER), ("mnt", _CLONE_NEWNS)):
        try:
            if os.stat(f"/proc/{pid}/ns/{kind}").st_ino == os.stat(f"/proc/self/ns/{kind}").st_ino:
                continue
            fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError as error:
            raise NamespacesUnavailable(f"process {pid} belongs to another user; become that user") from error
        except OSError as error:
            raise RealizerError(f"there is no process {pid}; start the sandbox first") from error
        try:
            _check(_libc.setns(fd, flag), f"enter the {kind} namespace of process {pid}")
        finally:
            os.close(fd)


def _nsfs_inode(status: os.stat_result) -> int | None:
    """Return a namespace's inode. One on a file system that can be written is no namespace: nsfs files are 0444."""
    if not stat.S_ISREG(status.st_mode) or status.st_dev != _nsfs_device():
        return None
    return status.st_ino


def _nsfs_device() -> int:
    return os.stat("/proc/self/ns/net").st_dev


def _check(result: int, doing: str) -> None:
    if result == 0:
        return
    code = ctypes.get_errno()
    cure = _CURES.get(code, "see `nova-fakes doctor`")
    raise NamespacesUnavailable(f"cannot {doing}: {os.strerror(code)}; {cure}")
