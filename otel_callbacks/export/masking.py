"""Keeping secrets out of logs: what a configuration holds back, and a filter that takes it out of others' log lines.

Rules for this file: nothing here is shown. The exporters log the address that they could not reach, with its key (measured in
1.45); urllib3 logs each request's path when it debugs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

MASK: Final = "***"
_SHORTEST: Final = 4  # characters; masking shorter ones would blank out whole lines and hide nothing
EXPORTERS_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.common.http",
)
_LOGGERS: Final = (
    *EXPORTERS_LOGGERS,
    "opentelemetry.sdk.trace.export",
    "opentelemetry.sdk.metrics._internal.export",
    "opentelemetry.sdk._logs._internal.export",
    "opentelemetry.sdk._shared_internal",
    "urllib3.connectionpool",
)


def without_secrets(endpoint: str) -> str:
    """Return *endpoint* without user, password, query and fragment: what may be shown."""
    url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    host = url.netloc.rpartition("@")[2]
    return urlunsplit((url.scheme, host, url.path, "", "")).removeprefix("//")


def secrets_in(endpoint: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the texts that must not be logged, the longest first: header values, credentials and query of the endpoint."""
    url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    found = {*headers.values(), url.query, url.password or "", url.netloc.rpartition("@")[0]}
    found |= {word for value in headers.values() for word in value.split()}
    found |= {unquote(text) for text in found}
    return tuple(sorted((text for text in found if len(text) >= _SHORTEST), key=len, reverse=True))


class SecretsFilter(logging.Filter):
    """Masks the secrets of one configuration in the records of the loggers that it is attached to."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask and let pass."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  (a wrong format is the logger's own to report)
            return True
        masked = message
        for secret in self._secrets:
            masked = masked.replace(secret, MASK)
        if masked != message:
            # The traceback repeats the message of its exception.
            record.msg, record.args, record.exc_info, record.exc_text = masked, (), None, None
        return True

    def attach(self) -> None:
        """Begin to mask."""
        for name in _LOGGERS if self._secrets else ():
            logging.getLogger(name).addFilter(self)

    def detach(self) -> None:
        """Cease to mask."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)
