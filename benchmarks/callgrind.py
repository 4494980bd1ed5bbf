"""Instructions: each piece of work counted on its own by valgrind's callgrind, all in one process.

The process tells callgrind when to count by client requests: a sequence of instructions that does nothing on a real
processor and that valgrind recognises (valgrind.h). Python cannot write it, so it is put into an executable page.

Rules for this file: only what runs between two requests is counted, on whatever thread; the collector is off meanwhile.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.cases import Case
from benchmarks.targets import Work

# long request(unsigned long args[6], long default), x86-64 System V: the preamble and "xchg rbx, rbx" of valgrind.h.
_MACHINE_CODE: Final = bytes.fromhex(
    "4889f8"  # mov rax, rdi: the arguments
    "4889f2"  # mov rdx, rsi: the answer where nobody listens
    "48c1c703 48c1c70d 48c1c73d 48c1c733"  # rol rdi by 3, 13, 61, 51: by 128 in all, that is not at all
    "4887db"  # xchg rbx, rbx
    "4889d0"  # mov rax, rdx
    "c3"
)
_TOOL: Final = (ord("C") << 24) | (ord("T") << 16)  # callgrind.h: VG_USERREQ_TOOL_BASE('C', 'T')
_DUMP_AT: Final = _TOOL + 3
_START: Final = _TOOL + 4
_STOP: Final = _TOOL + 5
_RUNNING: Final = 0x1001  # valgrind.h: RUNNING_ON_VALGRIND

WARM_UP: Final = 40  # CPython specialises code after eight calls
_DUMP: Final = re.compile(r"^desc: Trigger: Client Request: (?P<label>.+)$", re.MULTILINE)
_TOTAL: Final = re.compile(r"^totals: (?P<count>\d+)", re.MULTILINE)
CHILD_FLAG: Final = "--count-here"


class Requests:
    """Talks to the valgrind that runs this process."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(_MACHINE_CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_long)(address)

    def _send(self, number: int, argument: int = 0) -> int:
        arguments = (ctypes.c_ulong * 6)(number, argument)
        return int(self._call(ctypes.addressof(arguments), 0))

    @property
    def is_valgrind(self) -> bool:
        """Whether anybody listens."""
        return self._send(_RUNNING) > 0

    def start(self) -> None:
        """Count from here."""
        self._send(_START)

    def dump(self, label: str) -> None:
        """Count no more, and write down what was counted, under *label*."""
        name = ctypes.create_string_buffer(label.encode())
        self._send(_STOP)
        self._send(_DUMP_AT, ctypes.addressof(name))


def is_available() -> bool:
    """Tell whether instructions can be counted on this machine."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and shutil.which("valgrind") is not None


def count_here(cases: Sequence[Case]) -> None:
    """Count the instructions of *cases*; for the process that valgrind runs."""
    requests = Requests()
    if not requests.is_valgrind:
        sys.exit("this process is not run by valgrind")
    for case in cases:
        _count(requests, f"{case.name}/subject", case.subject, case.operations)
        _count(requests, f"{case.name}/base", case.base, case.operations)


def _count(requests: Requests, label: str, work: Work, operations: int) -> None:
    work(WARM_UP)()
    operation = work(operations)
    gc.collect()
    gc.disable()
    requests.start()
    operation()
    requests.dump(label)
    gc.enable()


def measure(cases: Sequence[Case], arguments: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return instructions per operation of subject and base, by the case's name.

    Args:
        cases: What is to be counted; the child process makes them anew.
        arguments: Of this command, so that the child makes the same cases.
    Raises: RuntimeError: valgrind or the process failed, or a case was not counted.
    """
    with tempfile.TemporaryDirectory(prefix="callgrind-") as folder:
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
        command = [*valgrind, f"--callgrind-out-file={folder}/out", sys.executable, "-m", __package__ or ""]
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, CHILD_FLAG, *arguments],
            env={
                **os.environ,
                "PYTHONHASHSEED": "0",
                "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"counting instructions failed ({done.returncode}): {done.stderr[-2_000:]}")
        totals = _totals(Path(folder))
    try:
        return {case.name: (_of(totals, case, "subject"), _of(totals, case, "base")) for case in cases}
    except KeyError as error:
        raise RuntimeError(f"valgrind wrote nothing down for {error}") from error


def _of(totals: dict[str, int], case: Case, side: str) -> float:
    return totals[f"{case.name}/{side}"] / case.operations


def _totals(folder: Path) -> dict[str, int]:
    totals = {}
    for path in folder.iterdir():
        text = path.read_text(errors="replace")
        label, total = _DUMP.search(text), _TOTAL.search(text)
        if label is not None and total is not None:
            totals[label["label"]] = int(total["count"])
    return totals
