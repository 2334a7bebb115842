"""nova's own programs that write to its databases: ``python -m nova_fakes.sandbox.program NAME OPTION…``.

Several of them share SQLite files, so their writing transactions take turns across processes; all else is nova's.
``nova-api PORT DIRECTORY`` is nova's WSGI application of that configuration directory, on a port of this machine.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time

from nova_fakes.sandbox.database import WriterTurns

#: Module of `nova.cmd` by program.
PROGRAMS = {"nova-conductor": "nova.cmd.conductor", "nova-scheduler": "nova.cmd.scheduler"}


def main(argv: list[str]) -> None:
    """Run a program until it is told to end.

    :param argv: this program's name, then the command line of nova's
    """
    if argv[1] == "nova-api":
        serve_api(int(argv[2]), argv[3])
        return
    module = importlib.import_module(PROGRAMS[argv[1]])
    WriterTurns(shared=True).install()
    sys.argv = argv[1:]
    module.main()


def serve_api(port: int, directory: str) -> None:
    """Serve nova's compute API until the process is told to end.

    :param directory: that of nova.conf and api-paste.ini
    """
    os.environ["OS_NOVA_CONFIG_DIR"] = directory
    sys.argv = ["nova-api"]  # nova reads it
    WriterTurns(shared=True).install()
    # Importing it makes the application; nova chooses native threads there.
    from nova.wsgi.osapi_compute import application

    from nova_fakes.api.server import Server
    from nova_fakes.sandbox.config import MOUNTS
    from nova_fakes.sandbox.token_cache import TokenCache, with_token_cache

    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    server = Server({MOUNTS["compute"]: with_token_cache(application, TokenCache(time.monotonic))}, port=port)
    server.start()
    signal.sigwait(ends)
    server.stop()


if __name__ == "__main__":
    main(sys.argv)
