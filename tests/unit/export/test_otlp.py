"""What the OTLP exporters are built from, and what is refused before anything starts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.otlp import endpoint_of, otlp_exporter
from otel_callbacks.settings import Settings

OTLP = "OTEL_EXPORTER_OTLP_"


def settings(**variables: str) -> Settings:
    return Settings.from_env({OTLP + name: value for name, value in variables.items()})


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({"ENDPOINT": "https://c/"}, "https://c/v1/traces"),
        ({"ENDPOINT": "https://c/otlp"}, "https://c/otlp/v1/traces"),
        ({"ENDPOINT": "https://c/v1/traces"}, "https://c/v1/traces"),
        ({"ENDPOINT": "https://c/?key=1"}, "https://c/v1/traces?key=1"),
        ({"ENDPOINT": "c:4318"}, "http://c:4318/v1/traces"),
        ({"ENDPOINT": "https://c", "TRACES_ENDPOINT": "https://t/in"}, "https://t/in"),
        ({"PROTOCOL": "grpc"}, "http://localhost:4317"),
        ({"PROTOCOL": "grpc", "ENDPOINT": "c:4317"}, "c:4317"),
        ({"PROTOCOL": "grpc", "ENDPOINT": "c:4317", "TRACES_ENDPOINT": "https://t"}, "https://t"),
    ],
)
def test_the_address(variables: dict[str, str], endpoint: str) -> None:
    assert endpoint_of(settings(**variables)) == endpoint


@pytest.fixture
def pem(tmp_path: Path) -> str:
    path = tmp_path / "no.pem"
    path.write_text("not a certificate")
    return str(path)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"])
def test_a_file_that_cannot_be_read_is_refused_and_trust_is_not_weakened(protocol: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{OTLP}{name}='/no/file' cannot be read: No such file"):
        otlp_exporter(settings(PROTOCOL=protocol, **{name: "/no/file"}))


def test_a_certificate_that_is_none_is_refused(pem: str) -> None:
    with pytest.raises(ConfigurationError, match="holds no certificate"):
        otlp_exporter(settings(CERTIFICATE=pem))


def test_a_key_without_its_certificate_is_refused(pem: str) -> None:
    with pytest.raises(
        ConfigurationError, match="CLIENT_KEY is of no use without OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
    ):
        otlp_exporter(settings(CLIENT_KEY=pem))


@pytest.mark.parametrize("endpoint", ["http://user:CANARY@c:4317", "user:CANARY@c:4317"])
def test_grpc_has_no_password_in_its_address(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot hold a user and a password") as caught:
        otlp_exporter(settings(PROTOCOL="grpc", ENDPOINT=endpoint))
    assert "CANARY" not in str(caught.value)


def test_grpc_does_not_deflate() -> None:
    with pytest.raises(ConfigurationError, match="deflate"):
        otlp_exporter(settings(PROTOCOL="grpc", COMPRESSION="deflate"))


@pytest.mark.parametrize(
    ("endpoint", "headers", "warns"),
    [
        ("http://c:4318", "Api-Key=CANARY", True),
        ("http://10.0.0.1:4318/?k=CANARY", "authorization=CANARY", True),
        ("https://c:4318", "api-key=CANARY", False),
        ("http://c:4318", "x-scope=team", False),
        ("http://localhost:4318", "api-key=CANARY", False),
        ("http://a.localhost", "api-key=CANARY", False),
        ("http://127.0.0.9", "api-key=CANARY", False),
        ("http://[::1]:4318", "api-key=CANARY", False),
    ],
)
def test_a_key_in_plain_text_over_a_network_is_warned_of(
    endpoint: str, headers: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        otlp_exporter(settings(ENDPOINT=endpoint, HEADERS=headers))
    assert ("without encryption" in caplog.text) is warns
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize(
    ("variables", "insecure"),
    [
        ({"ENDPOINT": "http://c:1"}, True),
        ({"ENDPOINT": "https://c:1", "INSECURE": "true"}, False),
        ({"ENDPOINT": "c:1"}, False),
        ({"ENDPOINT": "c:1", "INSECURE": "true"}, True),
    ],
)
def test_grpc_is_without_tls_only_if_the_address_or_else_the_variable_says_so(
    variables: dict[str, str], insecure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: dict[str, Any] = {}
    monkeypatch.setattr(
        "opentelemetry.exporter.otlp.proto.grpc.trace_exporter.OTLPSpanExporter",
        taken.update,
    )
    otlp_exporter(settings(PROTOCOL="grpc", **variables))._build()
    assert taken["insecure"] is insecure
    assert (taken["credentials"] is None) is insecure
