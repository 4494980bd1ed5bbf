"""The exceptions that otel-callbacks raises, and who should catch them.

::

    OTelCallbacksError
    ├── ConfigurationError (ValueError)    a setting is wrong: raised at start-up, the message says what is allowed
    └── MissingExtraError (ImportError)    an optional dependency is absent: the message is the command that installs it

Nothing here is ever raised from a callback: a fault of the telemetry never reaches the application that it observes,
unless ``raise_errors`` asks for it.
"""

from __future__ import annotations


class OTelCallbacksError(Exception):
    """Root of everything that this package raises on purpose."""


class ConfigurationError(OTelCallbacksError, ValueError):
    """A setting has a value that cannot be used."""


class MissingExtraError(OTelCallbacksError, ImportError):
    """A feature needs packages that an extra installs."""

    def __init__(self, feature: str, extra: str, missing: str) -> None:
        super().__init__(f"{feature} needs {missing}. Install it with: pip install 'otel-callbacks[{extra}]'")
        self.extra = extra
        self.missing = missing
