"""Whom we trust, and how we prove who we are: the certificates of the settings.

Rules for this file: files that cannot be read or used are an error at the start, never a weaker trust. Where the settings name a
certificate, it is the only authority: ``SSL_CERT_FILE``, ``REQUESTS_CA_BUNDLE`` and their like change nothing. Where they name
none, the system's authorities are trusted, which is what ``SSL_CERT_FILE`` stands for in OpenSSL's own meaning. Files that are
replaced while we run, as certificates that live for hours are, are read again for the next connection.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_callbacks.errors import ConfigurationError

if TYPE_CHECKING:
    from otel_callbacks.settings import Settings

_FILES: Final = ("certificate", "client_key", "client_certificate")


class Trust:
    """The certificates of one signal's settings. Raises: ConfigurationError: they cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self._certificate = settings.certificate
        self._key = settings.client_key
        self._chain = settings.client_certificate
        self._check(settings)
        self._state: object = None
        self._context: ssl.SSLContext | None = None
        if self._certificate or self._chain:
            self.context()  # nothing is left to be found wrong later

    def _check(self, settings: Settings) -> None:
        for name in _FILES:
            file: str | None = getattr(settings, name)
            try:
                _ = Path(file).read_bytes() if file else b""
            except OSError as error:
                raise ConfigurationError(
                    f"{_variable(name)}={file!r} cannot be read: {error.strerror}."
                ) from None
        if self._key and not self._chain:
            raise ConfigurationError(
                f"{_variable('client_key')} is of no use without {_variable('client_certificate')}."
            )
        self._usable()

    def _usable(self) -> None:
        if self._certificate:
            try:
                ssl.create_default_context(cafile=self._certificate)
            except ssl.SSLError:
                raise ConfigurationError(
                    f"{_variable('certificate')}={self._certificate!r} holds no certificate in PEM form."
                ) from None
        if self._chain:
            try:
                _prove(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self._chain, self._key)
            except (ssl.SSLError, ValueError):
                raise ConfigurationError(
                    f"{_variable('client_certificate')}={self._chain!r} holds no certificate in PEM form, or the key that is "
                    f"given ({_variable('client_key')}) does not belong to it or is encrypted."
                ) from None

    def context(self) -> ssl.SSLContext:
        """Return what a connection is secured with. Safe to call in several threads; work that is done twice does no harm."""
        state = self._look()
        if self._context is None or state != self._state:
            try:
                self._context, self._state = self._make(), state
            except (OSError, ValueError):  # caught in the middle of being replaced; SSLError is an OSError
                if self._context is None:
                    raise
        return self._context

    def _make(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._certificate)
        context.set_alpn_protocols(["http/1.1"])
        if self._chain:
            _prove(context, self._chain, self._key)
        return context

    def _look(self) -> object:
        """Return what changes when a file does."""
        try:
            stats = [Path(file).stat() for file in (self._certificate, self._key, self._chain) if file]
        except OSError:
            return self._state
        return [(stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats]

    def pem(self) -> dict[str, bytes | None]:
        """Return the files' content as gRPC wants it. Raises: OSError."""
        files = {
            "root_certificates": self._certificate,
            # One file may hold both.
            "private_key": self._key or self._chain,
            "certificate_chain": self._chain,
        }
        return {name: Path(file).read_bytes() if file else None for name, file in files.items()}


def _prove(context: ssl.SSLContext, chain: str, key: str | None) -> None:
    # Without a password of ours, OpenSSL would ask for one at the terminal.
    context.load_cert_chain(chain, key, password="")


def _variable(field: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{field.upper()}"
