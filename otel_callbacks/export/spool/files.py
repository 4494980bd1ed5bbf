"""What the spool asks of the operating system, in one place: so that a test can plant a fault in every call.

Rules for this file: no decision is made here. Every descriptor that is open is known, so that a forked child can let go of
them: a lock of `flock` is held by whoever has the descriptor, and would outlive the parent in its children.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # asked for before anything else is done

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

HAS_LOCKS: Final = fcntl is not None
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_COMMON: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class Files:
    """The calls, each of which may raise OSError; files are named relative to a folder's descriptor."""

    def __init__(self) -> None:
        self.descriptors: set[int] = set()

    def open_folder(self, path: str, within: int | None = None) -> int:
        """Open a folder that is no symbolic link."""
        return self._opened(os.open(path, os.O_RDONLY | os.O_DIRECTORY | _COMMON, dir_fd=within))

    def make_folder(self, path: str, within: int | None = None) -> None:
        """Make a folder for its owner alone."""
        os.mkdir(path, FOLDER_MODE, dir_fd=within)

    def make_private(self, folder: int) -> None:
        """Let nobody but the owner into a folder."""
        os.fchmod(folder, FOLDER_MODE)

    def create(self, name: str, folder: int) -> int:
        """Make a new file for its owner alone. Raises: FileExistsError: also for a symbolic link."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _COMMON
        return self._opened(os.open(name, flags, FILE_MODE, dir_fd=folder))

    def open(self, name: str, folder: int, *, writable: bool = True) -> int:
        """Open a file that is there; a pipe or a device does not block."""
        flags = (os.O_RDWR if writable else os.O_RDONLY) | _COMMON
        return self._opened(os.open(name, flags, dir_fd=folder))

    def _opened(self, descriptor: int) -> int:
        self.descriptors.add(descriptor)
        return descriptor

    def duplicate(self, descriptor: int) -> int:
        """Return another descriptor of the same open file."""
        return self._opened(os.dup(descriptor))

    def close(self, descriptor: int) -> None:
        """Close, and so unlock."""
        self.descriptors.discard(descriptor)
        os.close(descriptor)

    def forget_all(self) -> None:
        """Close everything, in a forked child. The locks stay with the parent, because nothing is unlocked."""
        descriptors, self.descriptors = self.descriptors, set()
        for descriptor in descriptors:
            try:
                os.close(descriptor)
            except OSError:  # closed by somebody else
                continue

    def lock(self, descriptor: int, *, shared: bool = False) -> bool:
        """Return whether nobody else holds the file; it is ours then."""
        if fcntl is None:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def status(self, descriptor: int) -> os.stat_result:
        """Return what kind of thing it is, how long, and whose."""
        return os.fstat(descriptor)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """Return at most *size* bytes."""
        return os.pread(descriptor, size, offset)

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        """Return how many bytes were written."""
        return os.pwrite(descriptor, data, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file off."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Wait until the data is on the disk."""
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def sync_folder(self, descriptor: int) -> None:
        """Wait until the names are on the disk."""
        os.fsync(descriptor)

    def unlink(self, name: str, folder: int) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=folder)

    def rename(self, name: str, folder: int, to_name: str, to_folder: int) -> None:
        """Move a file."""
        os.rename(name, to_name, src_dir_fd=folder, dst_dir_fd=to_folder)

    def names(self, folder: int) -> list[str]:
        """Return what is in a folder."""
        return os.listdir(folder)

    def look(self, name: str, folder: int) -> os.stat_result:
        """Return what kind of thing a name stands for; a symbolic link is one."""
        return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def free_bytes(self, folder: int) -> int:
        """Return what an ordinary user may still write."""
        space = os.fstatvfs(folder)
        return space.f_bavail * space.f_frsize


def write_all(files: Files, descriptor: int, data: bytes, offset: int) -> None:
    """Write all of *data*. Raises: OSError: some of it may be there."""
    written = files.write(descriptor, data, offset)
    while written < len(data):  # a full disk takes a part first, and says so next time
        more = files.write(descriptor, data[written:], offset + written)
        if more <= 0:
            raise OSError(errno.EIO, "nothing was written")
        written += more


def sizes(files: Files, folder: int) -> Iterator[tuple[str, int]]:
    """Yield names and lengths of the ordinary files in a folder, oldest name first."""
    for name in sorted(files.names(folder)):
        try:
            status = files.look(name, folder)
        except OSError:  # gone meanwhile
            continue
        if stat.S_ISREG(status.st_mode):
            yield name, status.st_size


@contextmanager
def opened_folder(files: Files, path: str, within: int | None = None) -> Generator[int]:
    """Open a folder for as long as it is used. Raises: OSError."""
    descriptor = files.open_folder(path, within)
    try:
        yield descriptor
    finally:
        files.close(descriptor)
