"""What connections are built from, and what is refused before anything starts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.transport.addresses import Address, address_of, endpoint_of, secrets_of
from otel_callbacks.export.transport.connect import transports
from otel_callbacks.settings import Settings, Signal

OTLP = "OTEL_EXPORTER_OTLP_"


def settings(**variables: str) -> Settings:
    named = {name if name.startswith("OTEL_") else OTLP + name: value for name, value in variables.items()}
    return Settings.from_env(named)


def target_of(**variables: str) -> Any:
    transport: Any = transports(settings(**variables))()
    return transport._target


def head_of(**variables: str) -> list[str]:
    head: bytes = target_of(**variables).head
    return head.decode("ascii").split("\r\n")


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


@pytest.mark.parametrize(
    ("endpoint", "host", "port", "first", "named"),
    [
        ("http://c:4318", "c", 4318, "/v1/traces", "c:4318"),
        ("http://c", "c", 80, "/v1/traces", "c"),
        ("https://C.test", "c.test", 443, "/v1/traces", "c.test"),
        ("https://c/a%20b/?k=a%2Bb&l=é", "c", 443, "/a%20b/v1/traces?k=a%2Bb&l=%C3%A9", "c"),
        ("http://[::1]:4318", "::1", 4318, "/v1/traces", "[::1]:4318"),
        ("http://bücher.test", "xn--bcher-kva.test", 80, "/v1/traces", "xn--bcher-kva.test"),
        ("http://c#part", "c", 80, "/v1/traces", "c"),
    ],
)
def test_what_http_asks_whom_for(endpoint: str, host: str, port: int, first: str, named: str) -> None:
    target = target_of(ENDPOINT=endpoint)
    assert (target.route.host, target.route.port) == (host, port)
    assert (target.route.context is not None) is endpoint.startswith("https")
    lines = head_of(ENDPOINT=endpoint)
    assert lines[0] == f"POST {first} HTTP/1.1"
    assert lines[1] == f"host: {named}"


def test_headers_of_the_settings_are_sent_but_those_that_are_ours_to_say() -> None:
    ours = (
        "Content-Length=1,content-type=text/html,Transfer-Encoding=chunked,idempotency-key=x,connection=close"
    )
    lines = head_of(HEADERS=f"{ours},host=h.test,user-agent=mine,Api-Key=a%20b", COMPRESSION="gzip")
    assert lines == [
        "POST /v1/traces HTTP/1.1", "host: h.test", "user-agent: mine", "api-key: a b", "accept-encoding: identity",
        "content-type: application/x-protobuf", "content-encoding: gzip", "",
    ]  # fmt: skip


def test_a_header_is_stronger_than_the_password_in_the_address() -> None:
    lines = head_of(ENDPOINT="http://u:p@127.0.0.1", HEADERS="authorization=Bearer%20x")
    assert [line for line in lines if line.startswith("authorization")] == ["authorization: Bearer x"]


@pytest.mark.parametrize(
    ("userinfo", "decoded"),
    [("u:p", "u:p"), ("token", "token:"), ("u%40:p%3A", "u@:p:"), (":p", ":p"), ("u:", "u:"), ("é:p", "é:p")],
)
def test_a_user_and_a_password_are_decoded(userinfo: str, decoded: str) -> None:
    assert address_of(f"http://{userinfo}@c", "x").userinfo == decoded


def test_an_address_that_cannot_be_used_is_refused_without_being_shown() -> None:
    for text in ("http://CANARY:99999", "http://[CANARY", "http://CANARY" + "é" * 70 + ".test"):
        with pytest.raises(ConfigurationError, match="the endpoint") as caught:
            address_of(text, "the endpoint")
        assert "CANARY" not in str(caught.value)


def test_secrets_of_an_address_are_known_in_every_form() -> None:
    secrets = secrets_of(address_of("http://us%40er:pa%20ss@c/?key=a%2Fbcd&x=1", "x"))
    assert {
        "us@er",
        "us%40er",
        "pa ss",
        "pa%20ss",
        "dXNAZXI6cGEgc3M=",
        "a/bcd",
        "a%2Fbcd",
        "key=a%2Fbcd&x=1",
    } <= secrets


@pytest.fixture
def pem(tmp_path: Path) -> str:
    path = tmp_path / "no.pem"
    path.write_text("not a certificate")
    return str(path)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"])
def test_a_file_that_cannot_be_read_is_refused_and_trust_is_not_weakened(protocol: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{OTLP}{name}='/no/file' cannot be read: No such file"):
        transports(settings(PROTOCOL=protocol, **{name: "/no/file"}))


def test_a_certificate_that_is_none_is_refused(pem: str) -> None:
    for name in ("CERTIFICATE", "CLIENT_CERTIFICATE"):
        with pytest.raises(ConfigurationError, match="holds no certificate"):
            transports(settings(**{name: pem}))


def test_a_key_without_its_certificate_is_refused(pem: str) -> None:
    with pytest.raises(
        ConfigurationError, match="CLIENT_KEY is of no use without OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
    ):
        transports(settings(CLIENT_KEY=pem))


@pytest.mark.parametrize("endpoint", ["http://user:CANARY@c:4317", "user:CANARY@c:4317"])
def test_grpc_has_no_password_in_its_address(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot hold a user and a password") as caught:
        transports(settings(PROTOCOL="grpc", ENDPOINT=endpoint))
    assert "CANARY" not in str(caught.value)


def test_grpc_does_not_deflate() -> None:
    with pytest.raises(ConfigurationError, match="deflate"):
        transports(settings(PROTOCOL="grpc", COMPRESSION="deflate"))


@pytest.mark.parametrize("header", ["a!b=CANARY", "grpc-timeout=CANARY", "key-bin=CANARY", "key=CANARY%09"])
def test_a_header_that_grpc_cannot_send_is_refused(header: str) -> None:
    allowed = header.endswith("%09")  # white space at the end is not sent
    header = header.replace("%09", "%09x" if allowed else "")
    with pytest.raises(ConfigurationError, match="cannot be sent over grpc") as caught:
        transports(settings(PROTOCOL="grpc", HEADERS=header))
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "proxied"),
    [
        ({"ENDPOINT": "http://c"}, True),
        ({"ENDPOINT": "https://10.0.0.1"}, True),
        ({}, False),
        ({"ENDPOINT": "http://127.9.9.9"}, False),
        ({"ENDPOINT": "https://[::1]"}, False),
        ({"ENDPOINT": "http://a.localhost"}, False),
    ],
)
def test_a_proxy_is_for_all_but_this_machine(variables: dict[str, str], proxied: bool) -> None:
    proxy = target_of(OTEL_CALLBACKS_PROXY="proxy.test", **variables).route.proxy
    assert (proxy is not None) is proxied
    assert proxy is None or (proxy.host, proxy.port) == ("proxy.test", 3128)


def test_a_proxy_that_cannot_be_used_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigurationError, match="begin with http://") as caught:
        transports(settings(OTEL_CALLBACKS_PROXY="https://CANARY:x@c"))
    assert "CANARY" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="is for OTLP over http/protobuf") as caught:
        transports(settings(PROTOCOL="grpc", ENDPOINT="c:4317", OTEL_CALLBACKS_PROXY="http://CANARY:x@c"))
    assert "CANARY" not in str(caught.value)
    transports(settings(PROTOCOL="grpc", OTEL_CALLBACKS_PROXY="http://c"))  # this machine needs none


@pytest.mark.parametrize(
    ("endpoint", "headers", "warns"),
    [
        ("http://c:4318", "Api-Key=CANARY", True),
        ("http://10.0.0.1:4318/?k=CANARY", "authorization=CANARY", True),
        ("http://u:CANARY@c:4318", "x-scope=team", True),
        ("https://c:4318", "api-key=CANARY", False),
        ("http://c:4318", "x-scope=team", False),
        ("http://localhost:4318", "api-key=CANARY", False),
        ("http://u:CANARY@localhost:4318", "x-scope=team", False),
        ("http://a.localhost", "api-key=CANARY", False),
        ("http://127.0.0.9", "api-key=CANARY", False),
        ("http://[::1]:4318", "api-key=CANARY", False),
    ],
)
def test_a_key_in_plain_text_over_a_network_is_warned_of(
    endpoint: str, headers: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        transports(settings(ENDPOINT=endpoint, HEADERS=headers))
    assert ("without encryption" in caplog.text) is warns
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize(("own", "times"), [({}, 1), ({"METRICS_ENDPOINT": "http://m"}, 2)])
def test_it_is_warned_of_once_for_one_address(
    own: dict[str, str], times: int, caplog: pytest.LogCaptureFixture
) -> None:
    signals: tuple[Signal, ...] = ("traces", "metrics", "logs")
    named = {
        OTLP + name: value for name, value in {"ENDPOINT": "http://c", "HEADERS": "key=x", **own}.items()
    }
    for signal in signals:
        transports(Settings.from_env(named, signal=signal), signal)
    assert caplog.text.count("without encryption") == times


@pytest.mark.parametrize(
    ("variables", "insecure", "address"),
    [
        ({"ENDPOINT": "http://c:1"}, True, "dns:///c:1"),
        ({"ENDPOINT": "HTTP://c:1"}, True, "dns:///c:1"),
        ({"ENDPOINT": "https://c:1", "INSECURE": "true"}, False, "dns:///c:1"),
        ({"ENDPOINT": "c:1"}, False, "dns:///c:1"),
        ({"ENDPOINT": "c:1", "INSECURE": "true"}, True, "dns:///c:1"),
        ({"ENDPOINT": "c", "INSECURE": "true"}, True, "dns:///c:80"),
        ({"ENDPOINT": "c"}, False, "dns:///c:443"),
        ({"ENDPOINT": "http://[::1]:1/path"}, True, "dns:///[::1]:1"),
    ],
)
def test_grpc_is_without_tls_only_if_the_address_or_else_the_variable_says_so(
    variables: dict[str, str], insecure: bool, address: str
) -> None:
    target = target_of(PROTOCOL="grpc", **variables)
    assert (target.pem is None) is insecure
    assert target.address == address


def test_each_call_makes_a_connection_of_its_own() -> None:
    make = transports(settings())
    assert make() is not make()


def test_nothing_that_is_printed_of_it_holds_a_secret() -> None:
    variables = {"HEADERS": "api-key=CANARY", "OTEL_CALLBACKS_PROXY": "http://u:CANARY@p"}
    make = transports(settings(ENDPOINT="http://u:CANARY@c/?k=CANARY", **variables))
    transport: Any = make()
    grpc: Any = transports(settings(PROTOCOL="grpc", HEADERS="api-key=CANARY"))()
    address = Address("http", "c", 1, "/?k=CANARY", "u:CANARY")
    for shown in (make, transport, transport._target, transport._target.route, grpc, grpc._target, address):
        assert "CANARY" not in repr(shown)
        assert "Q0FOQVJZ" not in repr(shown)
