"""The process that is a sandbox: ``python -m nova_fakes.sandbox.daemon STATE PROGRESS_FD [LIFELINE_FD]``.

Started by :mod:`nova_fakes.sandbox.launcher`; it writes its progress to the descriptor, one JSON line each, then serves
until it is told to stop by the control socket or by SIGTERM, or nobody has the other end of the lifeline open.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from nova_fakes.exceptions import NamespacesUnavailable, OpenVSwitchMissing
from nova_fakes.sandbox.deferred import defer
from nova_fakes.sandbox.spec import Progress, SandboxSpec
from nova_fakes.sandbox.state import StateDirectory
from nova_fakes.virt.vif import namespaces, ovs_service
from nova_fakes.virt.vif.ledger import Ledger, start_ticks

LOG = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Run the sandbox of a state directory until it is stopped.

    :returns: exit status: 0 after an orderly stop, 1 when it did not come up
    """
    # A start only adds: to look through hundreds of thousands of new objects again and again would be a sixth of it.
    gc.disable()
    defer()
    state = StateDirectory(Path(argv[1]))
    progress_out = os.fdopen(int(argv[2]), "w", buffering=1)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if len(argv) > 3:
        threading.Thread(target=_hold, args=(int(argv[3]), stopping), name="lifeline", daemon=True).start()

    def report(progress: Progress) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt("told to stop while starting")
        progress_out.write(progress.to_json() + "\n")

    try:
        state.acquire()
        spec = _with_namespaces(SandboxSpec.from_json(state.spec.read_text()))
        ledger = Ledger(state.ledger)
        own = ledger.add("process", "daemon", pid=os.getpid(), start_ticks=start_ticks(os.getpid()))
        from nova_fakes.sandbox.cloud import Cloud
        from nova_fakes.sandbox.control import ControlServer, create_app
        from nova_fakes.sandbox.process_cloud import ProcessCloud

        cloud = (ProcessCloud if spec.processes else Cloud)(spec, state, ledger, report)
        cloud.start()
        control = ControlServer(state.control_socket, create_app(cloud, stopping.set))
    except BaseException as error:
        traceback.print_exc()
        with_kind = f"{type(error).__name__}: {error}"
        try:
            progress_out.write(Progress("sandbox", "failed", 0.0, with_kind).to_json() + "\n")
        except BrokenPipeError:
            pass  # The launcher is gone; the log has the reason.
        return 1
    report(Progress("sandbox", "ready", 0.0, cloud.server.url))
    progress_out.close()
    gc.freeze()
    gc.enable()
    stopping.wait()
    control.stop()
    cloud.stop()
    ledger.done(own)
    return 0


def _hold(lifeline: int, stopping: threading.Event) -> None:
    while os.read(lifeline, 1):
        pass
    LOG.info("who started this sandbox is gone")
    stopping.set()


def _with_namespaces(spec: SandboxSpec) -> SandboxSpec:
    """Get the right to make network namespaces where the realizer needs it; before the first thread starts.

    The process stays in the machine's network namespace, so that its APIs can be reached from everywhere.

    :returns: the spec, with the null realizer where its own cannot work and that was asked for
    :raises NamespacesUnavailable: namespaces are forbidden; names the cure
    :raises OpenVSwitchMissing: the realizer needs Open vSwitch and it is not installed; names the cure
    """
    if spec.realizer == "null":
        return spec
    try:
        if spec.realizer == "ovs":
            ovs_service.require()
        if not _may_make_namespaces():
            namespaces.enter_user_namespace()
    except (NamespacesUnavailable, OpenVSwitchMissing) as error:
        if not spec.fallback_null:
            raise type(error)(f"{error}. Or go without networking: --realizer null") from error
        LOG.warning("real interfaces cannot be made here, so the null realizer is used: %s", error)
        return dataclasses.replace(spec, realizer="null")
    return spec


def _may_make_namespaces() -> bool:
    """Tell whether this process may make network namespaces as it is, by making one in a child."""
    child = os.fork()
    if child == 0:
        try:
            namespaces.unshare_network()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    status = main(sys.argv)
    logging.shutdown()
    # nova's thread pools are not daemon threads; what had to be saved has been.
    sys.stdout.flush()
    os._exit(status)
