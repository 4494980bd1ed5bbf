"""From settings to what sends: every check of addresses, certificates, headers and proxies, at the start.

Rules for this file: nothing is connected here. What is wrong raises a ConfigurationError that says what to do; no message and
no log line holds a secret. Modules of a protocol are imported only if it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.masking import secrets_in, without_secrets
from otel_callbacks.export.transport.addresses import (
    Address,
    address_of,
    endpoint_of,
    in_every_form,
    secrets_of,
)
from otel_callbacks.export.transport.answers import Mask, mask_of
from otel_callbacks.export.transport.http import COMPRESSIONS, HttpTarget, HttpTransport
from otel_callbacks.export.transport.sockets import Proxy, Route
from otel_callbacks.export.transport.tls import Trust
from otel_callbacks.version import version

if TYPE_CHECKING:
    from otel_callbacks.export.items import Transport
    from otel_callbacks.settings import Settings, Signal

_AGENT: Final = "otel-callbacks"
_ENDPOINT: Final = "the endpoint of OTLP"
_PROXY: Final = "OTEL_CALLBACKS_PROXY"
_PROXY_PORT: Final = 3128  # by convention, Squid's
# Ours to say: what they must be follows from the body and the connection.
_OURS: Final = frozenset(
    {
        "connection", "content-encoding", "content-length", "content-type", "expect", "idempotency-key",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_NOT_GRPCS: Final = frozenset({"host", "user-agent"})  # the channel's, not a call's

_logger = logging.getLogger(__name__)


def transports(settings: Settings, signal: Signal = "traces") -> Callable[[], Transport]:
    """Return what makes connections for a signal; each call makes another one. Raises: ConfigurationError."""
    endpoint = endpoint_of(settings, signal)
    address = address_of(endpoint, _ENDPOINT)
    trust = Trust(settings)
    proxy = _proxy(settings, address)
    headers = {name: value for name, value in (settings.headers or {}).items() if name not in _OURS}
    mask = mask_of(_secrets(settings, endpoint, address))
    build = _grpc if settings.protocol == "grpc" else _http
    factory = build(settings, signal, address, headers, trust, proxy, mask)
    if signal == "traces" or settings.own_endpoint:  # said once of one address
        _warn_of_plain_text(settings, endpoint, address)
    return factory


def _http(
    settings: Settings,
    signal: Signal,
    address: Address,
    headers: Mapping[str, str],
    trust: Trust,
    proxy: Proxy | None,
    mask: Mask,
) -> Callable[[], Transport]:
    secure = address.scheme == "https"
    port = address.port_for(secure=secure)
    lines = {
        "host": address.netloc,
        "user-agent": f"{_AGENT}/{version()}",
        **({"authorization": address.basic} if address.basic else {}),
        **headers,
        "accept-encoding": "identity",
        "content-type": "application/x-protobuf",
        **({"content-encoding": settings.compression} if settings.compression != "none" else {}),
        **(
            {"proxy-authorization": proxy.authorization}
            if proxy and proxy.authorization and not secure
            else {}
        ),
    }
    target = f"http://{address.netloc}{address.target}" if proxy and not secure else address.target
    head = "".join([f"POST {target} HTTP/1.1\r\n", *(f"{name}: {text}\r\n" for name, text in lines.items())])
    return partial(
        HttpTransport,
        HttpTarget(
            signal,
            Route(
                address.host, port, f"{address.bracketed}:{port}", trust.context if secure else None, proxy
            ),
            head.encode("ascii"),
            COMPRESSIONS[settings.compression],
            mask,
        ),
    )


def _grpc(
    settings: Settings,
    signal: Signal,
    address: Address,
    headers: Mapping[str, str],
    trust: Trust,
    proxy: Proxy | None,
    mask: Mask,
) -> Callable[[], Transport]:
    from otel_callbacks.export.transport import grpc  # noqa: PLC0415  (grpcio takes a while, and memory)

    if settings.compression == "deflate":
        raise ConfigurationError("OTLP over grpc cannot be compressed with 'deflate'. Allowed: none, gzip.")
    if address.userinfo is not None:
        raise ConfigurationError(
            "The endpoint of OTLP over grpc cannot hold a user and a password. Send them as a header: "
            "OTEL_EXPORTER_OTLP_HEADERS=authorization=..."
        )
    if proxy is not None:
        raise ConfigurationError(
            f"{_PROXY} is for OTLP over http/protobuf. Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or leave the proxy out."
        )
    agent = headers.get("user-agent", f"{_AGENT}/{version()}")
    metadata = grpc.metadata_of({name: text for name, text in headers.items() if name not in _NOT_GRPCS})
    secure = is_secure(settings, address)
    target = f"dns:///{address.bracketed}:{address.port_for(secure=secure)}"
    return partial(
        grpc.GrpcTransport,
        grpc.GrpcTarget(
            signal,
            target,
            trust.pem if secure else None,
            metadata,
            agent,
            settings.compression == "gzip",
            mask,
        ),
    )


def _proxy(settings: Settings, address: Address) -> Proxy | None:
    """Return the proxy to go through; None for this machine itself."""
    if settings.proxy is None:
        return None
    proxy = address_of(settings.proxy, _PROXY)
    if proxy.scheme == "https":
        raise ConfigurationError(
            f"{_PROXY} has to begin with http://. What is sent through it stays encrypted from end to end if the endpoint "
            "begins with https://."
        )
    return None if address.is_loopback else Proxy(proxy.host, proxy.port or _PROXY_PORT, proxy.basic)


def _secrets(settings: Settings, endpoint: str, address: Address) -> set[str]:
    found = {*secrets_in(endpoint, settings.headers or {}), *secrets_of(address)}
    if settings.proxy is not None:
        found |= {*secrets_in(settings.proxy, {}), *secrets_of(address_of(settings.proxy, _PROXY))}
    return in_every_form(found)


def _warn_of_plain_text(settings: Settings, endpoint: str, address: Address) -> None:
    """Say it if a key goes over the network in plain text."""
    if address.is_loopback or is_secure(settings, address):
        return
    keys = [
        f"The header {name!r}"
        for name in settings.headers or {}
        if any(word in name for word in ("auth", "key", "token", "secret"))
    ]
    if address.userinfo is not None:
        keys.append("The password in the endpoint")
    if keys:
        _logger.warning(
            "%s is sent to %s without encryption. Use an https endpoint.", keys[0], without_secrets(endpoint)
        )


def is_secure(settings: Settings, address: Address) -> bool:
    """Return whether TLS is used: the scheme decides; without one, gRPC's variable, which is false if unset."""
    if settings.protocol == "grpc" and not address.scheme:
        return settings.insecure is not True
    return address.scheme == "https"
