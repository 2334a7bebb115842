"""Lines at the end of a file: whole or not there, whatever becomes of disk and writer."""

import errno
import os
import stat

__all__ = ["append", "cut_torn"]


def append(fd: int, lines: bytes) -> None:
    """Write lines at a file's end, all or nothing.

    :param fd: open for appending
    :raises OSError: there is no room
    """
    written = os.write(fd, lines)
    if written < len(lines):
        os.ftruncate(fd, os.fstat(fd).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def cut_torn(fd: int, longest_bytes: int) -> None:
    """Cut off what a writer that died had written of a line: the next line would go on with it.

    :param longest_bytes: more than a line has
    """
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return
    with open(f"/proc/self/fd/{fd}", "rb") as file:
        file.seek(max(0, status.st_size - longest_bytes))
        torn = len(file.read().rpartition(b"\n")[2])
    if torn:
        os.ftruncate(fd, status.st_size - torn)
