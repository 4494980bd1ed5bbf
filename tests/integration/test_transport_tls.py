"""Encrypted OTLP, over both protocols: who is trusted, who is not, and who we say that we are."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.items import Answer, Transport, Verdict
from otel_callbacks.export.transport.connect import transports
from otel_callbacks.settings import Settings
from tests.certificates import NAME, Certificates, Pair, certificates
from tests.collectors import PATIENCE_S, Collector, GrpcCollector, HttpCollector, Reply
from tests.exchanges import OK, OTLP, SOON_S, a_request, longest_waits


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def serving(protocol: str, pair: Pair, clients: Path | None = None) -> Collector:
    if protocol == "grpc":
        return GrpcCollector(pair.server_credentials(clients))
    return HttpCollector(pair.server_context(clients))


def transport_to(
    collector: Collector, protocol: str, endpoint: str | None = None, **files: object
) -> Transport:
    named = {OTLP + name: str(file) for name, file in files.items()}
    env = {f"{OTLP}ENDPOINT": endpoint or collector.endpoint, f"{OTLP}PROTOCOL": protocol, **named}
    return transports(Settings.from_env(env), "traces")()


def test_the_given_authority_is_trusted(made: Certificates, protocol: str) -> None:
    with serving(protocol, made.server) as collector:
        transport = transport_to(collector, protocol, CERTIFICATE=made.authority.certificate)
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        assert transport.send(a_request("b"), "2", PATIENCE_S) == OK
        transport.close()
        assert collector.names() == ["a", "b"]


@pytest.mark.parametrize("which", ["server", "expired", "other_name"])
def test_nobody_else_gets_anything(
    made: Certificates, protocol: str, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor whom the environment would trust: the certificate of the settings is the only authority."""
    trusted = made.other_authority if which == "server" else made.authority
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
        monkeypatch.setenv(name, str(made.authority.certificate))
    with serving(protocol, getattr(made, which)) as collector:
        transport = transport_to(collector, protocol, CERTIFICATE=trusted.certificate)
        answer = transport.send(a_request("a"), "1", PATIENCE_S)
        transport.close()
        assert answer.verdict is Verdict.MISCONFIGURED
        assert "certificate" in answer.message
        assert collector.seen == []


def test_what_is_wrong_with_a_certificate_is_said(made: Certificates) -> None:
    said = {}
    for which in ("server", "expired", "other_name"):
        trusted = made.other_authority if which == "server" else made.authority
        with serving("http/protobuf", getattr(made, which)) as collector:
            transport = transport_to(collector, "http/protobuf", CERTIFICATE=trusted.certificate)
            said[which] = transport.send(a_request("a"), "1", PATIENCE_S).message
    assert said == {
        "server": "TLS: unable to get local issuer certificate",
        "expired": "TLS: certificate has expired",
        "other_name": "TLS: the certificate is for another address",
    }


def test_a_certificate_of_nobody_whom_the_system_knows_is_not_accepted(
    made: Certificates, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority.certificate))
    with serving(protocol, made.server) as collector:
        transport = transport_to(collector, protocol)
        assert transport.send(a_request("a"), "1", PATIENCE_S).verdict is Verdict.MISCONFIGURED
        transport.close()
        assert collector.seen == []


def test_the_systems_authorities_are_those_of_openssls_own_variable(
    made: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority.certificate))
    with serving("http/protobuf", made.server) as collector:
        transport = transport_to(collector, "http/protobuf")
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        transport.close()


def test_a_server_that_asks_for_it_sees_our_certificate(made: Certificates, protocol: str) -> None:
    client = made.client
    with serving(protocol, made.server, made.authority.certificate) as collector:
        transport = transport_to(
            collector, protocol, CERTIFICATE=made.authority.certificate, CLIENT_KEY=client.key,
            CLIENT_CERTIFICATE=client.certificate,
        )  # fmt: skip
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        transport.close()


def test_one_file_may_hold_our_certificate_and_its_key(
    made: Certificates, protocol: str, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(made.client.certificate.read_bytes() + made.client.key.read_bytes())
    with serving(protocol, made.server, made.authority.certificate) as collector:
        transport = transport_to(
            collector, protocol, CERTIFICATE=made.authority.certificate, CLIENT_CERTIFICATE=both
        )
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        transport.close()


def test_without_our_certificate_such_a_server_takes_nothing(made: Certificates, protocol: str) -> None:
    with serving(protocol, made.server, made.authority.certificate) as collector:
        transport = transport_to(collector, protocol, CERTIFICATE=made.authority.certificate)
        # Whether its alert or the end of the connection comes first is the network's to decide.
        assert transport.send(a_request("a"), "1", PATIENCE_S).verdict in {
            Verdict.MISCONFIGURED,
            Verdict.RETRY,
        }
        transport.close()
        assert collector.seen == []


def test_plain_text_where_encryption_is_asked_for(made: Certificates, protocol: str) -> None:
    with GrpcCollector() if protocol == "grpc" else HttpCollector() as collector:
        endpoint = f"https://127.0.0.1:{collector.port}"
        transport = transport_to(collector, protocol, endpoint, CERTIFICATE=made.authority.certificate)
        answer = transport.send(a_request("a"), "1", PATIENCE_S)
        transport.close()
        assert answer.verdict is Verdict.MISCONFIGURED
        assert answer.message.startswith("TLS: ")
        assert collector.seen == []


def test_certificates_that_are_replaced_are_read_for_the_next_connection(
    made: Certificates, protocol: str, tmp_path: Path
) -> None:
    """Also in the middle of being replaced, when there is none, or half of one."""
    authority = tmp_path / "authority.pem"
    shutil.copy(made.other_authority.certificate, authority)
    with serving(protocol, made.server) as collector:
        transport = transport_to(collector, protocol, CERTIFICATE=authority)
        assert transport.send(a_request("a"), "1", PATIENCE_S).verdict is Verdict.MISCONFIGURED
        if protocol != "grpc":  # gRPC reads them each time, and has to wait
            authority.write_text("-----BEGIN CERTIFICATE-----\nhalf")
            assert transport.send(a_request("a"), "1", PATIENCE_S).verdict is Verdict.MISCONFIGURED
        authority.unlink()
        assert transport.send(a_request("a"), "1", PATIENCE_S).verdict in {
            Verdict.MISCONFIGURED,
            Verdict.RETRY,
        }
        shutil.copy(made.authority.certificate, authority)
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        transport.close()


def test_in_the_middle_of_being_replaced_the_former_certificates_are_good(
    made: Certificates, tmp_path: Path
) -> None:
    authority = tmp_path / "authority.pem"
    shutil.copy(made.authority.certificate, authority)
    with serving("http/protobuf", made.server) as collector:
        transport = transport_to(collector, "http/protobuf", CERTIFICATE=authority)
        authority.write_text("-----BEGIN CERTIFICATE-----\nhalf")
        assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
        transport.close()


def test_a_handshake_that_hangs_holds_no_longer_than_asked(
    made: Certificates, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        env = {f"{OTLP}ENDPOINT": endpoint, f"{OTLP}PROTOCOL": protocol}
        transport = transports(Settings.from_env(env), "traces")()
        waits = longest_waits(monkeypatch)
        answer = transport.send(a_request("a"), "1", SOON_S)
        assert max(waits, default=0) <= SOON_S
        transport.close()
        assert answer == Answer(Verdict.RETRY, "no answer in time")


def test_a_connection_that_was_closed_meanwhile_is_made_anew(made: Certificates) -> None:
    with HttpCollector(made.server.server_context()) as collector:
        transport = transport_to(collector, "http/protobuf", CERTIFICATE=made.authority.certificate)
        collector.script(Reply(), Reply(close=True))
        for name in ("a", "b"):
            assert transport.send(a_request(name), "1", PATIENCE_S) == OK
        collector.hang_up()
        assert transport.send(a_request("c"), "1", PATIENCE_S) == OK
        transport.close()
        assert collector.names() == ["a", "b", "c"]


# -- through a proxy -----------------------------------------------------------------------------------------------------


class Tunnel:
    """A proxy that leads every CONNECT to one port of this machine."""

    def __init__(self, port: int) -> None:
        self.heads: list[bytes] = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += client.recv(1)
                self.heads.append(head)
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                client.sendall(b"HTTP/1.1 200 Go ahead\r\nVia: test\r\n\r\n")
                for one, other in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._pump, args=(one, other), daemon=True)
                    thread.start()
                    self._threads.append(thread)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()


@pytest.fixture
def proxied(made: Certificates) -> Iterator[tuple[HttpCollector, Tunnel]]:
    with HttpCollector(made.server.server_context()) as collector:
        tunnel = Tunnel(collector.port)
        yield collector, tunnel
        tunnel.close()


def test_through_a_proxy_what_is_sent_stays_encrypted_up_to_the_collector(
    proxied: tuple[HttpCollector, Tunnel], made: Certificates
) -> None:
    collector, tunnel = proxied
    env = {
        f"{OTLP}ENDPOINT": f"https://{NAME}:4318",
        f"{OTLP}CERTIFICATE": str(made.authority.certificate),
        f"{OTLP}HEADERS": "api-key=KEY",
        "OTEL_CALLBACKS_PROXY": f"user:pass@127.0.0.1:{tunnel.port}",
    }
    transport = transports(Settings.from_env(env), "traces")()
    assert transport.send(a_request("a"), "1", PATIENCE_S) == OK
    assert transport.send(a_request("b"), "2", PATIENCE_S) == OK
    transport.close()
    assert collector.names() == ["a", "b"]
    assert collector.seen[0].path == "/v1/traces"
    assert collector.seen[0].headers["host"] == f"{NAME}:4318"
    assert "proxy-authorization" not in collector.seen[0].headers
    assert tunnel.heads == [
        f"CONNECT {NAME}:4318 HTTP/1.1\r\nHost: {NAME}:4318\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n".encode()
    ]


def test_a_proxy_cannot_pass_for_the_collector(
    proxied: tuple[HttpCollector, Tunnel], made: Certificates
) -> None:
    collector, tunnel = proxied
    env = {
        f"{OTLP}ENDPOINT": "https://other.test:4318",
        f"{OTLP}CERTIFICATE": str(made.authority.certificate),
        "OTEL_CALLBACKS_PROXY": f"127.0.0.1:{tunnel.port}",
    }
    transport = transports(Settings.from_env(env), "traces")()
    answer = transport.send(a_request("a"), "1", PATIENCE_S)
    assert answer == Answer(Verdict.MISCONFIGURED, "TLS: the certificate is for another name")
    assert collector.seen == []


# -- what is wrong is said at the start ----------------------------------------------------------------------------------


def refused(protocol: str, **files: object) -> str:
    env = {f"{OTLP}PROTOCOL": protocol, **{OTLP + name: str(file) for name, file in files.items()}}
    with pytest.raises(ConfigurationError) as caught:
        transports(Settings.from_env(env), "traces")
    return str(caught.value)


def test_a_key_that_is_not_the_certificates_own_is_refused(made: Certificates, protocol: str) -> None:
    said = refused(protocol, CLIENT_CERTIFICATE=made.client.certificate, CLIENT_KEY=made.server.key)
    assert "does not belong to it" in said
    assert f"{OTLP}CLIENT_CERTIFICATE" in said


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(made: Certificates, protocol: str) -> None:
    said = refused(protocol, CLIENT_CERTIFICATE=made.client.certificate, CLIENT_KEY=made.encrypted_key)
    assert "encrypted" in said


def test_a_certificate_without_a_key_is_refused(made: Certificates, protocol: str) -> None:
    assert "key" in refused(protocol, CLIENT_CERTIFICATE=made.client.certificate)


def test_a_folder_is_no_file(protocol: str, tmp_path: Path) -> None:
    assert "Is a directory" in refused(protocol, CERTIFICATE=tmp_path)
