"""The folder of a spool: whether it is safe, what its files are called, whose they are, and which were left behind.

Rules for this file: files are reached through the folder's descriptor, never through its path, so that nobody can put another
folder in its place between two calls. What is locked belongs to somebody who lives. Anything may stand in the folder; what is
not an ordinary file of ours is left alone.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.spool.files import FOLDER_MODE, HAS_LOCKS, Files, sizes
from otel_callbacks.export.spool.segment import Read

DEAD: Final = "dead"
"""The folder of dead letters: what a collector will not have."""
CORRUPT: Final = "corrupt"
"""The folder of damaged files."""
NETWORK_KINDS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs"}
)
"""Where a lock may not be what it says."""
VOLATILE_KINDS: Final = frozenset({"tmpfs", "ramfs"})
"""What does not outlive the machine, or the container."""

_NAME: Final = re.compile(r"(\d{1,20})-(\d{1,10})-(\d{1,10})-([0-9a-f]{1,16})\.([a-z]{1,32})\.seg")
_OURS: Final = re.compile(rf"\d+-\d+-\d+-[0-9a-f]+\..+|{DEAD}|{CORRUPT}")
# With these, the settings are wrong, not the disk.
_SETTING_ERRNOS: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
)


class UnsafeFolderError(OSError):
    """Somebody else could read or replace what is written there."""


class Name(NamedTuple):
    """What a segment's name says."""

    created_ns: int
    pid: int
    counter: int
    random: str
    signal: str

    def __str__(self) -> str:
        return f"{self.identity}.{self.signal}.seg"

    @property
    def identity(self) -> str:
        """What no other segment has."""
        return f"{self.created_ns:019d}-{self.pid}-{self.counter}-{self.random}"


def parse_name(text: str) -> Name | None:
    """Return what *text* says, or None if no segment is called so."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    return Name(int(match[1]), int(match[2]), int(match[3]), match[4], match[5])


@dataclass(slots=True)
class Opened:
    """A file that is locked by us."""

    name: str
    descriptor: int
    size: int


class Directory:
    """One folder, opened when first used and again when it is gone."""

    def __init__(self, path: str | os.PathLike[str], *, files: Files | None = None) -> None:
        self.path: str = os.path.abspath(os.path.expanduser(os.fspath(path)))  # noqa: PTH100, PTH111  (a PathLike)
        self.files = files or Files()
        self._folders: dict[str, int] = {}
        self._stale: list[int] = []
        self._counter = 0

    def check(self) -> None:
        """Open the folder, and make it if it is not there.

        Raises:
            ConfigurationError: It cannot be used as it is.
            OSError: The disk is at fault, which may pass.
        """
        if not HAS_LOCKS:
            raise ConfigurationError(
                "spool_dir needs locks of files (flock), which this system does not have: leave it out."
            )
        try:
            self.folder()
        except UnsafeFolderError as error:
            raise ConfigurationError(f"spool_dir {self.path!r}: {error}") from error
        except OSError as error:
            if error.errno in _SETTING_ERRNOS:
                raise ConfigurationError(
                    f"spool_dir {self.path!r} cannot be used: {error.strerror}. It has to be a folder that this user may write to."
                ) from error
            raise

    def folder(self, name: str = "") -> int:
        """Return the descriptor of the folder, or of one below it, which is made if it is not there.

        Raises: OSError: UnsafeFolderError among them.
        """
        known = self._folders.get(name)
        if known is not None:
            if self.files.status(known).st_nlink:
                return known
            # It was deleted: what is written there would be lost. Another thread may be about to use the descriptors: their
            # numbers must not become those of other folders at once.
            self._stale += self._folders.values()
            self._folders = {}
        within = self.folder() if name else None
        path = name or self.path
        try:
            descriptor = self.files.open_folder(path, within)
        except FileNotFoundError:
            if not name:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another process was faster, or it is a link
                self.files.make_folder(path, within)
            descriptor = self.files.open_folder(path, within)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR} and _is_link(path, within):
                raise UnsafeFolderError("it is a symbolic link: name the folder itself.") from error
            raise
        try:
            _check_status(self.files.status(descriptor), self.files, descriptor)
        except OSError:
            self.files.close(descriptor)
            raise
        self._folders[name] = descriptor
        return descriptor

    def existing(self, name: str) -> int | None:
        """Return the descriptor of a folder below this one, if it is there."""
        try:
            self.files.look(name, self.folder())
        except FileNotFoundError:
            return None
        return self.folder(name)

    def forget(self) -> None:
        """Close the folders; they are opened again when they are needed."""
        folders, self._folders, self._stale = [*self._folders.values(), *self._stale], {}, []
        for descriptor in folders:
            with suppress(OSError):
                self.files.close(descriptor)

    def after_fork(self) -> None:
        """Let go of what belongs to the parent."""
        self._folders, self._stale = {}, []
        self.files.forget_all()

    def new_name(self, signal: str, now_ns: int) -> Name:
        """Return a name that nothing has."""
        self._counter += 1
        return Name(now_ns, os.getpid(), self._counter, secrets.token_hex(4), signal)

    def create(self, name: str, folder: str = "") -> Opened | None:
        """Return a new file that is locked, or None if somebody was faster to look at it: then try another name.

        Raises: OSError.
        """
        within = self.folder(folder)
        descriptor = self.files.create(name, within)
        try:
            # Who looks for left files may have found this one between the two calls, and removed it.
            if self.files.lock(descriptor) and self.files.status(descriptor).st_nlink:
                return Opened(name, descriptor, 0)
        except OSError:
            self._undo(name, within, descriptor)
            raise
        self._undo(name, within, descriptor)
        return None

    def _undo(self, name: str, within: int, descriptor: int) -> None:
        with suppress(OSError):  # it is empty, and the next process removes it
            self.files.unlink(name, within)
        self.files.close(descriptor)

    def seize(self, name: str, folder: str = "") -> Opened | None:
        """Return a file whose owner is dead, locked by us; None if it lives, or this is no ordinary file of ours.

        Raises: OSError.
        """
        try:
            descriptor = self.files.open(name, self.folder(folder))
        except OSError as error:
            if error.errno in {
                errno.ENOENT,
                errno.ELOOP,
                errno.EISDIR,
                errno.ENXIO,
                errno.EACCES,
                errno.ENODEV,
            }:
                return None
            raise
        try:
            status = self.files.status(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and self.files.lock(descriptor):
                # Its owner may have written more, or removed it, until the lock.
                status = self.files.status(descriptor)
                if status.st_nlink:
                    return Opened(name, descriptor, status.st_size)
        except BaseException:
            self.files.close(descriptor)
            raise
        self.files.close(descriptor)
        return None

    def reader(self, opened: Opened) -> Read:
        """Return what reads a file from an offset."""
        return lambda offset, size: self.files.read(opened.descriptor, size, offset)

    def segments(self, folder: str = "") -> list[tuple[str, Name, int]]:
        """Return what is called like a segment, the oldest first, with its length. Raises: OSError."""
        found = ((text, parse_name(text), size) for text, size in sizes(self.files, self.folder(folder)))
        return sorted(
            ((text, name, size) for text, name, size in found if name is not None), key=lambda each: each[1]
        )

    def set_aside(self, opened: Opened) -> bool:
        """Move a damaged file to where a person may look at it; return whether it is out of the way. The lock is kept."""
        try:
            self.files.rename(opened.name, self.folder(), opened.name, self.folder(CORRUPT))
        except OSError:
            return False
        return True

    def trim(self, folder: str, max_bytes: int) -> int:
        """Remove the oldest files of *folder* that nobody holds until it has at most *max_bytes*; return how many.

        Raises: OSError.
        """
        within = self.existing(folder)
        if within is None:
            return 0
        found = self.segments(folder)
        total = sum(size for _, _, size in found)
        removed = 0
        for text, _, size in found:
            if total <= max_bytes:
                break
            opened = self.seize(text, folder)
            if opened is not None:
                try:
                    self.files.unlink(text, within)
                finally:
                    self.files.close(opened.descriptor)
                total -= size
                removed += 1
        return removed


def _is_link(path: str, within: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(path, dir_fd=within, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _check_status(status: os.stat_result, files: Files, descriptor: int) -> None:
    """Make the folder private, if it is a spool and nothing else: the mode of `/tmp` or of a home is not ours to change."""
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        raise UnsafeFolderError(
            "it belongs to another user: name a folder of your own, for example one below it."
        )
    if mode == FOLDER_MODE:
        return
    if not all(map(_OURS.fullmatch, files.names(descriptor))):
        raise UnsafeFolderError(
            f"others may enter it (mode {mode:03o}) and there are other things in it: name a folder of its own, for example one below it."
        )
    if mode & 0o022:
        raise UnsafeFolderError(f"others may write to it (mode {mode:03o}): make it private with chmod 700.")
    files.make_private(descriptor)


def filesystem_kind(path: str) -> str:
    """Return what kind of file system *path* is on: ``ext4``, ``tmpfs``, ``nfs4`` … or ``unknown``."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
        real = os.path.realpath(path)
    except OSError:
        return "unknown"
    best, kind = "", "unknown"
    for line in lines:
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        point = fields[4].replace("\\040", " ") if len(fields) > 4 else "-"  # noqa: PLR2004  (proc(5))
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, source.partition(" ")[0]
    return kind
