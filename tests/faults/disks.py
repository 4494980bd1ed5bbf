"""Disks that are full, or take nothing: file systems of their own where mounting is permitted, else a limit of the process.

Rules for this file: nothing stays mounted. What was done is said in the outcome's facts.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.faults.marks import SPOOL

if TYPE_CHECKING:
    from tests.faults.running import Running
    from tests.faults.stage import Stage

DISK_BYTES: Final = 256 << 20
SMALL_DISK_BYTES: Final = 32 << 20
"""At the small scale: filling it takes no time, and a tenth of it is enough for what comes before."""


@contextmanager
def full_disk(stage: Stage) -> Iterator[Callable[[Running], None]]:
    """Give the spool a disk, and a function that fills it (ENOSPC), or lets no file of the process grow (EFBIG)."""
    if stage.subject != SPOOL:
        yield lambda _: None
        return
    size = DISK_BYTES if stage.scale.timed else SMALL_DISK_BYTES
    if not _mount(stage.spool, f"size={size}"):
        stage.say(disk="RLIMIT_FSIZE (EFBIG)")
        # The report is such a file as well, and must go on.
        yield lambda application: limit(application, stage)
        return
    stage.say(disk="tmpfs (ENOSPC)")
    try:
        yield lambda _: _fill(stage.spool / "ballast")
    finally:
        _unmount(stage.spool)


def limit(application: Running, stage: Stage) -> None:
    application.do("limit_files", size=application.report.stat().st_size + stage.number(200_000) * 4)


@contextmanager
def read_only_disk(stage: Stage) -> Iterator[None]:
    """Give the spool a disk that cannot be written to (EROFS)."""
    if stage.subject != SPOOL:
        yield
        return
    if not _mount(stage.spool, "size=1m,ro"):
        stage.say(disk="not read-only: mounting is not permitted")
        yield
        return
    stage.say(disk="tmpfs (EROFS)")
    try:
        yield
    finally:
        _unmount(stage.spool)


def _mount(folder: Path, options: str) -> bool:
    folder.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"{options},mode=700", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603 - fixed words
    except OSError:  # there is no such program
        return False


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607 - fixed words


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                os.fsync(file.fileno())
