"""Secrets stay out of addresses that are shown, and it is known what must not be logged."""

from __future__ import annotations

import pytest

from otel_callbacks.export.masking import secrets_in, without_secrets
from otel_callbacks.export.transport.addresses import in_every_form

ENDPOINT = "https://user:pa%20ss@host:4318/v1/traces?api_key=CANARY#x"


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        (ENDPOINT, "https://host:4318/v1/traces"),
        ("http://[::1]:4317", "http://[::1]:4317"),
        ("collector:4317", "collector:4317"),
        ("user:pw@collector:4317", "collector:4317"),
    ],
)
def test_an_address_is_shown_without_its_secrets(endpoint: str, shown: str) -> None:
    assert without_secrets(endpoint) == shown


def test_what_must_not_be_logged() -> None:
    found = secrets_in(ENDPOINT, {"authorization": "Bearer sk-1234", "x": "y"})
    assert {"Bearer sk-1234", "sk-1234", "api_key=CANARY", "pa%20ss", "pa ss", "user:pa%20ss"} <= found
    assert "y" not in in_every_form(found)
    assert in_every_form(secrets_in("collector:4317", {})) == set()
