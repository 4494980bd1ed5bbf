"""The three backends as processes of this test run: ports, start, readiness, stop.

Rules for this file: only processes started here are ever signalled, by their own id; everything listens on
loopback; a backend that does not come up fails with the end of its log.
"""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.e2e.web import get

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

READY_WITHIN_S: Final = 60  # Tempo needs 2 to 15 s, more on a machine that is busy
STOP_WITHIN_S: Final = 4  # Jaeger takes 11 s with keep-alive clients, Tempo once hung for ten minutes


@dataclass(frozen=True, slots=True)
class Backend:
    """How one backend is started.

    Attributes:
        ports: The environment variables of its configuration that hold a port.
        arguments: Of the command line; `{config}` is replaced by the configuration's path.
        ready: URL that answers 200 once it can be used; `{VARIABLE}` is replaced by that port.
    """

    name: str
    ports: tuple[str, ...]
    arguments: tuple[str, ...]
    ready: str


BACKENDS: Final = (
    Backend(
        "jaeger",
        (
            "JAEGER_OTLP_GRPC_PORT",
            "JAEGER_OTLP_HTTP_PORT",
            "JAEGER_QUERY_PORT",
            "JAEGER_QUERY_GRPC_PORT",
            "JAEGER_HEALTH_PORT",
        ),
        ("--config", "{config}"),
        "http://127.0.0.1:{JAEGER_HEALTH_PORT}/status",
    ),
    Backend(
        "tempo",
        (
            "TEMPO_OTLP_GRPC_PORT",
            "TEMPO_OTLP_HTTP_PORT",
            "TEMPO_HTTP_PORT",
            "TEMPO_GRPC_PORT",
            "TEMPO_MEMBERLIST_PORT",
        ),
        ("-config.file={config}", "-config.expand-env=true"),
        "http://127.0.0.1:{TEMPO_HTTP_PORT}/ready",
    ),
    Backend(
        "collector",
        ("COLLECTOR_OTLP_GRPC_PORT", "COLLECTOR_OTLP_HTTP_PORT", "COLLECTOR_HEALTH_PORT"),
        ("--config", "{config}"),
        "http://127.0.0.1:{COLLECTOR_HEALTH_PORT}/",
    ),
)


def free_ports(names: Sequence[str]) -> dict[str, str]:
    """A free loopback port for each name.

    They are taken below the range that the kernel gives to outgoing connections (32768 on Linux, 49152 elsewhere):
    from within it, another process's connection may take the port before the backend has opened it.
    """
    candidates = iter(random.SystemRandom().sample(range(20000, 32000), k=1000))
    chosen: dict[str, str] = {}
    for name in names:
        chosen[name] = str(next(port for port in candidates if _can_listen(port)))
    return chosen


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Running:
    """The processes that are up, and the ports they listen on."""

    def __init__(self, binaries: Mapping[str, Path], configurations: Path, folder: Path) -> None:
        self.ports = free_ports([name for backend in BACKENDS for name in backend.ports])
        self.folder = folder
        self._binaries = binaries
        self._configurations = configurations
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def collector_file(self) -> Path:
        """Where the collector writes what it has received, as OTLP JSON lines."""
        return self.folder / "collector.jsonl"

    @property
    def signals_file(self) -> Path:
        """Where it writes metrics and log events."""
        return self.folder / "signals.jsonl"

    def url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def start(self) -> None:
        """Start all of them, then wait until the last is ready.

        Raises:
            RuntimeError: One exited or was not ready in time; the message ends with its log.
        """
        for backend in BACKENDS:
            self._launch(backend)
        for backend in BACKENDS:
            self._await_ready(backend)

    def stop(self) -> None:
        """End every process started here, and wait until it has gone."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _launch(self, backend: Backend) -> None:
        config = self._configurations / backend.name / "config.yaml"
        # Nothing is inherited: OTEL_* or proxy variables of the caller would change what is tested.
        environment = {
            **self.ports,
            "TEMPO_DATA": str(self.folder / "tempo"),
            "COLLECTOR_FILE": str(self.collector_file),
            "COLLECTOR_SIGNALS_FILE": str(self.signals_file),
            "HOME": str(self.folder),
        }
        with self.log(backend.name).open("wb") as log:
            self._processes[backend.name] = subprocess.Popen(  # noqa: S603 - binaries that deploy/backends/build made
                [
                    str(self._binaries[backend.name]),
                    *(argument.format(config=config) for argument in backend.arguments),
                ],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _await_ready(self, backend: Backend) -> None:
        url = backend.ready.format(**self.ports)
        process = self._processes[backend.name]
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and process.poll() is None:
            if get(url).status == 200:
                return
            time.sleep(0.1)
        why = "is not ready" if process.poll() is None else f"exited with {process.returncode}"
        end_of_log = self.log(backend.name).read_text(errors="replace")[-2000:]
        message = f"{backend.name} {why}; the end of its log:\n{end_of_log}"
        raise RuntimeError(message)
