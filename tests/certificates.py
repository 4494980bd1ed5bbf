"""Certificates made for the tests by the openssl program: an authority, what it has signed, and another authority."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest

NAME = "collector.test"
_CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = test
[ca]
default_ca = own
[own]
database = {folder}/index.txt
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""
_HERE = f"IP:127.0.0.1, DNS:localhost, DNS:{NAME}"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path

    def server_context(self, clients: Path | None = None) -> ssl.SSLContext:
        """Return what a server speaks TLS with; *clients* is the authority of those it lets in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if clients:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def server_credentials(self, clients: Path | None = None) -> Any:
        """Return the same for gRPC."""
        pair = (self.key.read_bytes(), self.certificate.read_bytes())
        return grpc.ssl_server_credentials(
            [pair], clients.read_bytes() if clients else None, require_client_auth=clients is not None
        )


@dataclass(frozen=True)
class Certificates:
    """All there are. The server's are for 127.0.0.1, localhost and `NAME`, but for one."""

    authority: Pair
    other_authority: Pair
    server: Pair
    expired: Pair
    other_name: Pair
    client: Pair
    encrypted_key: Path
    """The client's, which asks for a password."""


def certificates(folder: Path) -> Certificates:
    """Make them in *folder*; the test is skipped where there is no openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program")

    def run(*arguments: object) -> None:
        subprocess.run([openssl, *map(str, arguments)], check=True, capture_output=True)  # noqa: S603

    def configuration(names: str = _HERE) -> Path:
        path = folder / "openssl.cnf"
        path.write_text(_CONFIGURATION.format(folder=folder, names=names))
        return path

    def key(name: str) -> Path:
        path = folder / f"{name}.key"
        run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        return path

    def authority(name: str) -> Pair:
        pair = Pair(folder / f"{name}.pem", key(name))
        run("req", "-x509", "-new", "-key", pair.key, "-out", pair.certificate, "-days", 2, "-subj", f"/CN={name}",
            "-config", configuration(), "-extensions", "authority")  # fmt: skip
        return pair

    def leaf(name: str, *, names: str = _HERE, days: tuple[object, ...] = ("-days", 2)) -> Pair:
        pair = Pair(folder / f"{name}.pem", key(name))
        request = folder / f"{name}.csr"
        run(
            "req",
            "-new",
            "-key",
            pair.key,
            "-out",
            request,
            "-subj",
            f"/CN={name}",
            "-config",
            configuration(),
        )
        run("ca", "-batch", "-notext", "-config", configuration(names), "-extensions", "leaf", "-in", request,
            "-out", pair.certificate, "-cert", root.certificate, "-keyfile", root.key, *days)  # fmt: skip
        return pair

    (folder / "index.txt").touch()
    root = authority("authority")
    client = leaf("client")
    encrypted = folder / "encrypted.key"
    run("pkey", "-in", client.key, "-aes256", "-passout", "pass:secret", "-out", encrypted)
    return Certificates(
        authority=root,
        other_authority=authority("other-authority"),
        server=leaf("server"),
        expired=leaf("expired", days=("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")),
        other_name=leaf("other-name", names="DNS:elsewhere.test"),
        client=client,
        encrypted_key=encrypted,
    )
