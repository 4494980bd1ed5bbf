"""The handler that writes to a file what the one for standard output prints.

Rules for this file: one event is one piece, however many threads report; what an event said is in the file when its
dispatch is over.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, ClassVar, Self, TextIO, cast

from otel_callbacks.callbacks.stdout import NarratingHandler

if TYPE_CHECKING:
    import os
    from types import TracebackType


class FileCallbackHandler(NarratingHandler):
    """Writes the beginning and end of chains, an agent's thoughts, tools' outputs and text; content as it is.

    The file is open from construction on, until ``close()``, the end of a ``with`` block, or the handler's own end.

    Args:
        filename: Written as UTF-8.
        mode: As for ``open``: ``a`` appends, ``w`` replaces, ``x`` refuses to.
        color: Of text and of an agent's words; None: no escape sequences.

    Raises:
        OSError: The file cannot be opened.

    Example:
        >>> with FileCallbackHandler("runs.txt") as handler:
        ...     chain.invoke(question, config={"callbacks": [handler]})
    """

    styled: ClassVar[bool] = False

    def __init__(self, filename: str | os.PathLike[str], mode: str = "a", color: str | None = None) -> None:
        self.filename = filename
        self.mode = mode
        self.color = color
        self._lock = Lock()
        self.file = cast("TextIO", Path(filename).open(mode, encoding="utf-8"))  # noqa: SIM115 - closed by close()

    def __enter__(self) -> Self:
        """Return the handler."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def __del__(self) -> None:
        """Close the file, if it could be opened."""
        if "file" in vars(self):
            self.close()

    def close(self) -> None:
        """Close the file; a second time changes nothing."""
        self.file.close()

    def tell(self, text: str) -> None:
        """Write *text*.

        Raises:
            RuntimeError: The file is closed.
        """
        with self._lock:
            if self.file.closed:
                raise RuntimeError(f"{self.filename} is closed: attach the handler inside its 'with' block.")
            self.file.write(text)
            self.file.flush()
