"""The real Collector behind the gate: started, asked what it has written, stopped.

Rules for this file: its word is final; a span is delivered if it stands in its file.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.e2e.backends import free_ports
from tests.e2e.web import get

ROOT: Final = Path(__file__).parents[2]
READY_WITHIN_S: Final = 60
STOPPED_WITHIN_S: Final = 30
# Not of a parent ("parentSpanId"), and the application makes no links.
_SPAN_ID: Final = re.compile(rb'"spanId":"([0-9a-f]{16})"')


def binary() -> Path | None:
    """Return where the Collector is; None if it has not been built (``deploy/backends/build collector``)."""
    answer = subprocess.run(  # noqa: S603 - our own script
        [ROOT / "deploy" / "backends" / "build", "--where"], check=True, stdout=subprocess.PIPE, text=True
    )
    found = dict(line.split(" ", 1) for line in answer.stdout.splitlines())
    return Path(found["collector"]) if "collector" in found else None


class Behind:
    """A running Collector that writes what it receives to a file in *folder*."""

    def __init__(self, program: Path, folder: Path) -> None:
        ports = free_ports(("COLLECTOR_OTLP_HTTP_PORT", "COLLECTOR_HEALTH_PORT"))
        self.port = int(ports["COLLECTOR_OTLP_HTTP_PORT"])
        self._file = folder / "collector.jsonl"
        self._log = folder / "collector.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - what deploy/backends/build made
                [program, "--config", Path(__file__).with_name("collector.yaml")],
                # Nothing is inherited: OTEL_* or proxy variables of the caller would change what is tested.
                env={**ports, "COLLECTOR_FILE": str(self._file), "HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{ports['COLLECTOR_HEALTH_PORT']}/"
        deadline_s = time.monotonic() + READY_WITHIN_S
        while get(url).status != 200:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise RuntimeError(f"The Collector is not ready: {self._log.read_text()[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it; what it has received is in the file when this returns."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def received(self) -> Counter[int]:
        """How often each span, by its id, stands in the file; complete once it has been stopped."""
        found: Counter[int] = Counter()
        with self._file.open("rb") as lines:
            for line in lines:
                found.update(int(match, 16) for match in _SPAN_ID.findall(line))
        return found
