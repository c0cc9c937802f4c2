"""Large files as a merge writes them: room taken at once, and on the disk before they push other things out of memory.

Linux's own calls, where they are to be had; without them the same files, later.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from pathlib import Path

from spine.atomic import FULL

_LIBC = ctypes.CDLL(None, use_errno=True)
_BEGIN, _END = 2, 1 | 2 | 4  # of sync_file_range: have it written; wait until it is
_BEHIND = 64  # parts on their way to the disk: 2 GB; with 24 three models took 3.7 s for 3.5
_STEP = 256 * 2**10  # bytes of one write, see write_at
_SHARE = 4  # of the available memory, what may wait there to be written is a quarter


def open_sized(path: Path, nbytes: int) -> int:
    """A new file of ``nbytes``, to be written by position. Its room is taken: a full disk is known before an hour of
    writing, and ext4 spends a sixth less time on writing.

    Raises:
        OSError: there is no room.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        _allocate(file, nbytes)
    except BaseException:
        os.close(file)
        raise
    return file


def _allocate(file: int, nbytes: int) -> None:
    # os.posix_fallocate would write into every block where the file system cannot do it.
    if hasattr(_LIBC, "fallocate") and _LIBC.fallocate(file, 0, ctypes.c_int64(0), ctypes.c_int64(nbytes)) == 0:
        return
    if (number := ctypes.get_errno()) in FULL:
        raise OSError(number, os.strerror(number))
    os.ftruncate(file, nbytes)


def write_at(file: int, content: memoryview, at: int) -> None:
    """All of ``content``, in small writes: for a large one the kernel looks for pages as large to hold it, and on a
    virtual machine may have to ask the host for them. A merge of 3 GB took 2.4 s in writes of 8 MB, and takes 1.5 s.
    """
    while content:
        count = os.pwrite(file, content[:_STEP], at)
        content, at = content[count:], at + count


class WriteBehind:
    """Sends what is written to the disk while more is computed, and lets go of its memory once it is there.

    Left to itself the kernel keeps written pages until a fifth of the memory waits for the disk, stops whoever writes
    then, and takes the base's pages for new ones: three models of 3 GB took 7.5 s on 24 GiB, and take 3.5 s this way.
    One of them took 1.5 s and would take 1.7 s, so this is for ``total_bytes`` that the memory has no room for.
    """

    def __init__(self, total_bytes: int) -> None:
        self._needed = total_bytes > _available_bytes() / _SHARE and hasattr(_LIBC, "sync_file_range")
        self._parts: deque[tuple[int, int, int]] = deque()

    def wrote(self, file: int, begin: int, nbytes: int) -> None:
        """Bytes of a file are there; several threads may say so at once."""
        if not self._needed:
            return
        _sync(file, begin, nbytes, _BEGIN)
        self._parts.append((os.dup(file), begin, nbytes))
        if len(self._parts) > _BEHIND:
            self._let_go(*self._parts.popleft())

    def _let_go(self, file: int, begin: int, nbytes: int) -> None:
        _sync(file, begin, nbytes, _END)
        os.posix_fadvise(file, begin, nbytes, os.POSIX_FADV_DONTNEED)
        os.close(file)

    def close(self) -> None:
        """Leaves what is still on its way to the kernel."""
        while self._parts:
            os.close(self._parts.popleft()[0])


def _sync(file: int, begin: int, nbytes: int, how: int) -> None:
    _LIBC.sync_file_range(file, ctypes.c_int64(begin), ctypes.c_int64(nbytes), how)


def _available_bytes() -> int:
    """Memory that nothing holds, or pages of files, which the kernel gives to whoever asks; 0 where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
