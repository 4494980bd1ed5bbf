"""What the end-to-end tests share: the backends, running once for all of them, and an environment without settings.

A backend that has not been built is a skip that says how to build it, so that everybody can run this suite;
with OTEL_CALLBACKS_REQUIRE_BACKENDS=1, which CI sets, it is a failure.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.backends import BACKENDS, Running
from tests.e2e.demo import PORTS, DemoRun, run_demo

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY: Final = Path(__file__).parents[2] / "deploy" / "backends"
# Of the caller: the fixture below takes every OTEL_* variable away, and these two are meant for us.
ENVIRONMENT: Final = dict(os.environ)
REQUIRED: Final = ENVIRONMENT.get("OTEL_CALLBACKS_REQUIRE_BACKENDS") == "1"


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_caller() -> Iterator[None]:
    """Telemetry and proxy variables of the caller would send the traffic elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("OTEL_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    """The built binary of each backend.

    The build script alone knows where they are: their place is a hash of their pins.
    """
    answer = subprocess.run(  # noqa: S603 - our own script
        [DEPLOY / "build", "--where"], check=True, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    found = {name: Path(path) for name, path in (line.split(" ", 1) for line in answer.stdout.splitlines())}
    missing = [backend.name for backend in BACKENDS if backend.name not in found]
    if missing:
        reason = (
            f"not built: {', '.join(missing)}; this builds them (Go 1.26 or newer, 7 to 9 minutes, once): "
            f"deploy/backends/build {' '.join(missing)}"
        )
        if REQUIRED:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def backends(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(binaries, DEPLOY, tmp_path_factory.mktemp("backends"))
    # A CI that runs out of time sends SIGTERM, which would end this process and leave the three.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session", params=PORTS)
def demo(
    request: pytest.FixtureRequest, backends: Running, tmp_path_factory: pytest.TempPathFactory
) -> DemoRun:
    """What the demo sent, once over each protocol."""
    return run_demo(request.param, backends, tmp_path_factory.mktemp("demo"))
