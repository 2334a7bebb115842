"""Exit codes of the `nova-fakes` command: what a script may rely on.

====  ==========================================================================================
code  meaning
====  ==========================================================================================
0     done
1     what was asked failed: a demo step, a ping without reply, a sandbox that did not come up
2     the command line is wrong: an unknown option, realizer or log, an ambiguous instance name
3     no sandbox runs on the state directory
4     the host or instance that was named does not exist
5     something else is in the way: the state directory is in use, the port is taken
6     this machine or user may not make network namespaces, or lacks Open vSwitch; `doctor` found so too
130   interrupted by Ctrl-C
====  ==========================================================================================

`nova-fakes exec` ends with the code of the command it ran, 127 where there is no such command and 126 where it may
not be executed, as a shell does.
"""

from nova_fakes.exceptions import (
    Conflict,
    InvalidInput,
    NamespacesUnavailable,
    NotFound,
    NotRunning,
    OpenVSwitchMissing,
    PortTaken,
    StateInUse,
)

__all__ = [
    "CONFLICT",
    "FAILED",
    "INTERRUPTED",
    "NOT_ALLOWED",
    "NOT_FOUND",
    "NOT_RUNNING",
    "OK",
    "USAGE",
    "exit_code",
]

OK = 0
FAILED = 1
USAGE = 2
NOT_RUNNING = 3
NOT_FOUND = 4
CONFLICT = 5
NOT_ALLOWED = 6
INTERRUPTED = 130

_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((InvalidInput,), USAGE),
    ((NotRunning,), NOT_RUNNING),
    ((NotFound,), NOT_FOUND),
    ((StateInUse, PortTaken, Conflict), CONFLICT),
    ((NamespacesUnavailable, OpenVSwitchMissing), NOT_ALLOWED),
)


def exit_code(error: Exception) -> int:
    """Return the exit code with which the command reports this error."""
    for classes, code in _CODES:
        if isinstance(error, classes):
            return code
    return FAILED
