"""One writer for a run: a lock that the kernel releases when its process ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from archive.errors import CannotWrite, RunInUse


class RunLock:
    """An exclusive lock on a run's folder, held until `release` or the end of the process.

    Raises:
        RunInUse: another process holds it; the message names its id.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise CannotWrite(f"cannot write {path}: {error.strerror}; make the run's folder writable") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise CannotWrite(f"cannot lock {path}: {error.strerror}; keep runs on a local disk") from error
            raise RunInUse(
                f"run {folder.name} is in use by process {holder}; wait for it, stop it, or give this run another name"
            ) from None
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(self._descriptor)
            raise CannotWrite(f"cannot write {path}: {error.strerror}; free space on its disk") from error

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def release(self) -> None:
        """Let others write the run; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
