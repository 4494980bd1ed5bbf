"""Who reports a model call when its client is instrumented as well: the run, and so the client's instrumentation is told.

OpenTelemetry's util-genai, on which the instrumentations of model clients are built, looks for a value of its own class in
the context, and reports no span of its own for a call inside of which it finds one. Its class is looked up among the loaded
modules; where it is not loaded there is nobody to tell.

Rules for this file: like the run's span, the value stays behind in contexts that outlive the run; so it is of that class only
while the run is open.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from otel_callbacks.core.runs import Run

# util-genai 1.3: `CLIENT_INFERENCE_CONTEXT_KEY` and `InferenceData` of opentelemetry.util.genai.
CONTEXT_KEY: Final = "opentelemetry.genai.client.inference.context"
_MODULE: Final = "opentelemetry.util.genai.invocation"
_CLASS: Final = "InferenceData"


class OpenInference:
    """Says "a model call is being reported" to ``isinstance``, as long as its run is open.

    What inner invocations would publish is not wanted: the callback knows the call better than its client does.
    """

    capture_content = False
    upload_completion = False

    def __init__(self, run: Run, open_runs: dict[int, Run], claimed: type) -> None:
        self._key = run.key
        self._open_runs = open_runs
        self._claimed = claimed

    def _class(self) -> type:
        return self._claimed if self._key in self._open_runs else type(self)

    # Assigned, not decorated: in a class body the name __class__ belongs to the compiler.
    __class__ = property(_class)  # pyright: ignore[reportIncompatibleMethodOverride] # as object's own

    def merge(self, other: Any, *, overwrite: bool = True) -> None:
        """Take nothing over."""


def context_values(run: Run, open_runs: dict[int, Run]) -> dict[str, object]:
    """Return what is added to the context of a model's run; nothing where no instrumentation would ask."""
    claimed = getattr(sys.modules.get(_MODULE), _CLASS, None)
    return {CONTEXT_KEY: OpenInference(run, open_runs, claimed)} if isinstance(claimed, type) else {}
