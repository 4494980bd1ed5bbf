"""Secrets stay out of addresses that are shown and of others' log lines."""

from __future__ import annotations

import logging

import pytest

from otel_callbacks.export.masking import SecretsFilter, secrets_in, without_secrets

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
    assert {"Bearer sk-1234", "sk-1234", "api_key=CANARY", "pa%20ss", "pa ss", "user:pa%20ss"} <= set(found)
    assert "y" not in found
    assert list(found) == sorted(found, key=len, reverse=True)
    assert secrets_in("collector:4317", {}) == ()


def test_the_filter_masks_message_arguments_and_traceback_until_it_is_detached(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("urllib3.connectionpool")
    mask = SecretsFilter(["CANARY"])
    mask.attach()
    try:
        try:
            raise ValueError("CANARY")
        except ValueError as error:
            logger.exception("to %s: %s", "http://h?CANARY", error)  # noqa: TRY401
        logger.warning("nothing %s", "secret")
        mask.filter(logging.LogRecord("n", 1, "p", 1, "%d", ("wrong",), None))
        assert "CANARY" not in caplog.text
        assert caplog.messages == ["to http://h?***: ***", "nothing secret"]
    finally:
        mask.detach()
    logger.warning("CANARY")
    assert caplog.messages[-1] == "CANARY"


def test_without_secrets_there_is_no_filter() -> None:
    logger = logging.getLogger("urllib3.connectionpool")
    before = list(logger.filters)
    SecretsFilter(()).attach()
    assert logger.filters == before
