"""Commands inside instances: as the user who asks, in a process group that ends by the deadline, with limited output.

Nothing is gained by it but the instance's network: the command has the rights of the process at the other end of the
socket, not the agent's, and an environment of its own. Words are handed on as they are; no shell reads them.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack

from nova_fakes.agent.peers import Peer
from nova_fakes.agent.protocol import Execution
from nova_fakes.exceptions import AgentBusy, DeadlineExceeded, PeerRefused, RealizerError
from nova_fakes.virt.vif import namespaces

__all__ = ["OUTPUT_LIMIT_BYTES", "Executor"]

#: Of each of the two outputs; what comes after is read and thrown away.
OUTPUT_LIMIT_BYTES = 256 << 10
#: Each has a thread of the server's.
_AT_ONCE = 16
_NOT_EXECUTABLE, _NOT_FOUND, _BY_SIGNAL = 126, 127, 128
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/",
    "LANG": "C.UTF-8",
}
_CHUNK_BYTES = 1 << 16


class Executor:
    """Runs commands for the agent's clients.

    :param allowed: whether it runs any
    """

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed
        self._free = threading.BoundedSemaphore(_AT_ONCE)

    def run(self, peer: Peer, namespace: str | None, argv: Sequence[str], until: float) -> Execution:
        """Run a command in a namespace and wait for it.

        :param peer: as whose user it runs
        :param until: the moment of the monotonic clock at which it is killed
        :raises PeerRefused: this agent runs no commands
        :raises AgentBusy: too many run already
        :raises RealizerError: there is no such namespace
        :raises DeadlineExceeded: it did not end in time, and has been killed
        """
        if not self._allowed:
            raise PeerRefused("this agent runs no commands; start it with --allow-exec")
        if namespace is None:
            raise RealizerError("the instance has no network namespace on this host; plug it first")
        if not self._free.acquire(blocking=False):
            raise AgentBusy(f"{_AT_ONCE} commands run already; nothing was started, ask again")
        try:
            return _run(peer, namespace, argv, until)
        finally:
            self._free.release()


def _run(peer: Peer, namespace: str, argv: Sequence[str], until: float) -> Execution:
    try:
        # A child gets the namespace of the thread that starts it.
        process = namespaces.in_namespace(namespace, lambda: _start(peer, argv))
    except FileNotFoundError:
        return Execution(_NOT_FOUND, b"", f"{argv[0]}: no such command\n".encode(), truncated=False)
    except OSError as error:
        return Execution(_NOT_EXECUTABLE, b"", f"{argv[0]}: {error.strerror}\n".encode(), truncated=False)
    with process:
        try:
            with _Outputs(process) as outputs:
                ended = outputs.collect(until)
        finally:
            # Before it is waited for: until then nobody else can have its number.
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if not ended:
        raise DeadlineExceeded(f"{argv[0]} did not end in time and was killed; give it longer, up to the deadline")
    return Execution(code if code >= 0 else _BY_SIGNAL - code, *outputs.kept(), truncated=outputs.truncated)


def _start(peer: Peer, argv: Sequence[str]) -> "subprocess.Popen[bytes]":
    # Where the user is another one, so are the rights; root of a user namespace could not even ask for its own.
    other = peer.uid != os.geteuid()
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
        user=peer.uid if other else None,
        group=peer.gid if other else None,
        extra_groups=[] if other else None,
    )


class _Outputs:
    """Reads both outputs of a process, and sees it end."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._streams = (process.stdout.fileno(), process.stderr.fileno())
        self._kept = {stream: bytearray() for stream in self._streams}
        self.truncated = False
        with ExitStack() as cleanup:
            self._selector = cleanup.enter_context(selectors.DefaultSelector())
            self._end = os.pidfd_open(process.pid)
            cleanup.callback(os.close, self._end)
            for descriptor in (*self._streams, self._end):
                os.set_blocking(descriptor, False)
                self._selector.register(descriptor, selectors.EVENT_READ)
            self._cleanup = cleanup.pop_all()

    def __enter__(self) -> "_Outputs":
        return self

    def __exit__(self, *exc: object) -> None:
        self._cleanup.close()

    def collect(self, until: float) -> bool:
        """Read until the process has ended; False where it has not by that moment.

        What others who hold its outputs may still write is not waited for.
        """
        while (rest := until - time.monotonic()) > 0:
            ready = [key.fd for key, _events in self._selector.select(rest)]
            for stream in self._streams:
                if stream in ready:
                    self._read(stream)
            if self._end in ready:
                for stream in self._streams:
                    # Somebody that it left behind may write for ever.
                    while not self.truncated and self._read(stream):
                        pass
                return True
        return False

    def kept(self) -> tuple[bytes, bytes]:
        """Return what was kept of output and errors."""
        output, errors = (bytes(self._kept[stream]) for stream in self._streams)
        return output, errors

    def _read(self, stream: int) -> bool:
        """Read what is there now; False where there is nothing more."""
        try:
            data = os.read(stream, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not data:
            if stream in self._selector.get_map():
                self._selector.unregister(stream)
            return False
        room = OUTPUT_LIMIT_BYTES - len(self._kept[stream])
        self._kept[stream] += data[:room]
        self.truncated = self.truncated or len(data) > room
        return True
