"""The official OTLP exporters of every signal, built from our settings: what is wrong is said at start-up, nothing is weaker than asked.

Rules for this file: every value that the exporters would read from the environment themselves is read, checked and passed by us.
Files of certificates that cannot be read are an error, never a weaker trust. Modules of a protocol are imported only if it is
used. See the notes at each trap: they were measured in version 1.45.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.guard import GuardedExporter
from otel_callbacks.export.masking import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Session

    from otel_callbacks.settings import Settings, Signal

_PACKAGES: Final = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
}
# Module and class of each signal's exporter, below the package of the protocol.
_EXPORTERS: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}
_DEFAULT_ENDPOINTS: Final = {"http/protobuf": "http://localhost:4318", "grpc": "http://localhost:4317"}
_REDIRECTS: Final = range(300, 400)

_logger = logging.getLogger(__name__)


def endpoint_of(settings: Settings, signal: Signal = "traces") -> str:
    """Return the address that a signal is sent to, by the specification's rules for the two variables."""
    general = settings.endpoint or _DEFAULT_ENDPOINTS[settings.protocol]
    if settings.protocol == "grpc":
        return settings.own_endpoint or general
    address = settings.own_endpoint or _with_path(general, f"/v1/{signal}")
    return address if "://" in address else f"http://{address}"


def _with_path(endpoint: str, path: str) -> str:
    # The query stays behind the path: some backends take their key there.
    base, mark, query = endpoint.partition("?")
    base = base.rstrip("/")
    return (base if base.endswith(path) else base + path) + mark + query


def otlp_exporter(settings: Settings, signal: Signal = "traces") -> GuardedExporter:
    """Return an exporter that connects at its first export. Raises: ConfigurationError."""
    endpoint = endpoint_of(settings, signal)
    _check_files(settings)
    module, name = _EXPORTERS[signal]
    exporter: Any = getattr(import_module(f"{_PACKAGES[settings.protocol]}.{module}"), name)
    build = (
        _grpc(settings, endpoint, exporter)
        if settings.protocol == "grpc"
        else _http(settings, endpoint, exporter)
    )
    if signal == "traces" or settings.own_endpoint:  # said once of one address
        _warn_of_plain_text(settings, endpoint)
    return GuardedExporter(build, signal)


def _http(settings: Settings, endpoint: str, exporter: Any) -> Callable[[], Any]:
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415

    def build() -> Any:
        return exporter(
            endpoint=endpoint,
            certificate_file=settings.certificate,
            client_key_file=settings.client_key,
            client_certificate_file=settings.client_certificate,
            headers=dict(settings.headers or {}),
            timeout=settings.timeout_s,
            compression=Compression(settings.compression),
            session=_session(),
        )

    return build


def _session() -> Session:
    """Return a session that obeys our settings only.

    With ``trust_env``, requests lets ``~/.netrc`` replace the Authorization header, ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE``
    replace the certificate, and ``HTTP_PROXY`` take traffic to the loopback. A redirect is refused: it would take the key to
    another host, or count as delivered.
    """
    import requests  # noqa: PLC0415

    def refuse_redirects(response: requests.Response, *_args: object, **_options: object) -> None:
        if response.status_code in _REDIRECTS:
            response.close()
            raise requests.exceptions.TooManyRedirects("the collector redirects; redirects are not followed")

    session = requests.Session()
    session.trust_env = False
    session.hooks["response"].append(refuse_redirects)
    return session


def _grpc(settings: Settings, endpoint: str, exporter: Any) -> Callable[[], Any]:
    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415  (grpcio ships no types)

    if settings.compression == "deflate":
        raise ConfigurationError("OTLP over grpc cannot be compressed with 'deflate'. Allowed: none, gzip.")
    if "@" in urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").netloc:
        raise ConfigurationError(
            "The endpoint of OTLP over grpc cannot hold a user and a password. Send them as a header: "
            "OTEL_EXPORTER_OTLP_HEADERS=authorization=..."
        )
    insecure = endpoint.startswith("http://") or ("://" not in endpoint and settings.insecure is True)

    def build() -> Any:
        # The exporter falls back to the system's authorities if a file is missing; ours are read before, or not at all.
        credentials = None if insecure else grpc.ssl_channel_credentials(**_pem(settings))
        return exporter(
            endpoint=endpoint,
            insecure=insecure,
            credentials=credentials,
            headers=tuple((settings.headers or {}).items()),
            timeout=settings.timeout_s,
            compression=grpc.Compression.Gzip
            if settings.compression == "gzip"
            else grpc.Compression.NoCompression,
        )

    return build


def _pem(settings: Settings) -> dict[str, bytes | None]:
    files = {
        "root_certificates": settings.certificate,
        "private_key": settings.client_key,
        "certificate_chain": settings.client_certificate,
    }
    return {name: Path(file).read_bytes() if file else None for name, file in files.items()}


def _check_files(settings: Settings) -> None:
    for name in ("certificate", "client_key", "client_certificate"):
        file: str | None = getattr(settings, name)
        try:
            _ = Path(file).read_bytes() if file else b""
        except OSError as error:
            raise ConfigurationError(
                f"{_variable(name)}={file!r} cannot be read: {error.strerror}."
            ) from None
    if settings.client_key and not settings.client_certificate:
        raise ConfigurationError(
            f"{_variable('client_key')} is of no use without {_variable('client_certificate')}."
        )
    if settings.certificate:
        try:
            ssl.create_default_context(cafile=settings.certificate)
        except ssl.SSLError:
            raise ConfigurationError(
                f"{_variable('certificate')}={settings.certificate!r} holds no certificate in PEM form."
            ) from None


def _variable(field: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{field.upper()}"


def _warn_of_plain_text(settings: Settings, endpoint: str) -> None:
    """Say it if a key goes over the network in plain text."""
    url = urlsplit(endpoint)
    keys = [
        name
        for name in settings.headers or {}
        if any(word in name for word in ("auth", "key", "token", "secret"))
    ]
    if url.scheme == "http" and keys and not _is_loopback(url.hostname or ""):
        _logger.warning(
            "The header %r is sent to %s without encryption. Use an https endpoint.",
            keys[0],
            without_secrets(endpoint),
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
