"""nova's own programs that write to its databases: ``python -m nova_fakes.sandbox.program NAME OPTION…``.

Several of them share SQLite files, so their writing transactions take turns across processes; all else is nova's.
"""

from __future__ import annotations

import importlib
import sys

from nova_fakes.sandbox.database import WriterTurns

#: Module of `nova.cmd` by program.
PROGRAMS = {"nova-conductor": "nova.cmd.conductor", "nova-scheduler": "nova.cmd.scheduler"}


def main(argv: list[str]) -> None:
    """Run a program until it is told to end.

    :param argv: this program's name, then the command line of nova's
    """
    module = importlib.import_module(PROGRAMS[argv[1]])
    WriterTurns(shared=True).install()
    sys.argv = argv[1:]
    module.main()


if __name__ == "__main__":
    main(sys.argv)
