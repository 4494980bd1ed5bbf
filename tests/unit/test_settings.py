"""Settings: what the environment may say, what a wrong value leads to, what wins over what."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks import parsing
from otel_callbacks.errors import ConfigurationError
from otel_callbacks.settings import SHOWN_CHARACTERS, VARIABLES, Settings

OTLP = "OTEL_EXPORTER_OTLP_"


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert (settings.max_open_runs, settings.max_run_age_s) == (100_000, 7200)
    assert (settings.capture_errors, settings.max_value_length) == (True, 32_768)
    assert (settings.console, settings.file, settings.exporters) == (None, None, ("otlp",))


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().console = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("OTEL_CALLBACKS_CONSOLE", "Yes", "console", True),
        ("OTEL_CALLBACKS_CONSOLE", "0", "console", False),
        ("OTEL_CALLBACKS_FILE", " runs.jsonl ", "file", "runs.jsonl"),
        ("OTEL_CALLBACKS_MAX_OPEN_RUNS", "7", "max_open_runs", 7),
        ("OTEL_CALLBACKS_MAX_RUN_AGE_S", "0.5", "max_run_age_s", 0.5),
        ("OTEL_CALLBACKS_CAPTURE_ERRORS", "off", "capture_errors", False),
        ("OTEL_CALLBACKS_MAX_VALUE_LENGTH", "1", "max_value_length", 1),
        ("OTEL_SDK_DISABLED", "TRUE", "sdk_disabled", True),
        ("OTEL_TRACES_EXPORTER", "console, otlp,console", "exporters", ("console", "otlp")),
        ("OTEL_TRACES_EXPORTER", "none", "exporters", ()),
        ("OTEL_SERVICE_NAME", "shop", "service_name", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1, b=x%2Cy,", "resource_attributes", {"a": "1", "b": "x,y"}),
        (f"{OTLP}PROTOCOL", "GRPC", "protocol", "grpc"),
        (f"{OTLP}ENDPOINT", "collector:4317", "endpoint", "collector:4317"),
        (f"{OTLP}TRACES_ENDPOINT", "https://[::1]:1/x", "own_endpoint", "https://[::1]:1/x"),
        (f"{OTLP}HEADERS", "API-Key=a=b, x=%20y%20", "headers", {"api-key": "a=b", "x": "y"}),
        (f"{OTLP}TIMEOUT", "2.5", "timeout_s", 2.5),
        (f"{OTLP}COMPRESSION", "gzip", "compression", "gzip"),
        (f"{OTLP}CERTIFICATE", "ca.pem", "certificate", "ca.pem"),
        (f"{OTLP}CLIENT_KEY", "k.pem", "client_key", "k.pem"),
        (f"{OTLP}CLIENT_CERTIFICATE", "c.pem", "client_certificate", "c.pem"),
        (f"{OTLP}INSECURE", "true", "insecure", True),
    ],
)
def test_a_variable_is_read(name: str, text: str, field: str, value: object) -> None:
    assert getattr(Settings.from_env({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_CALLBACKS_CONSOLE", "maybe"),
        ("OTEL_CALLBACKS_FILE", "a\0b"),
        ("OTEL_CALLBACKS_MAX_OPEN_RUNS", "0"),
        ("OTEL_CALLBACKS_MAX_OPEN_RUNS", "1_000"),
        ("OTEL_CALLBACKS_MAX_OPEN_RUNS", "٣"),
        ("OTEL_CALLBACKS_MAX_RUN_AGE_S", "nan"),
        ("OTEL_CALLBACKS_MAX_RUN_AGE_S", "inf"),
        ("OTEL_CALLBACKS_MAX_RUN_AGE_S", "-1"),
        ("OTEL_CALLBACKS_MAX_VALUE_LENGTH", "many"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "none,otlp"),
        (f"{OTLP}PROTOCOL", "http/json"),
        (f"{OTLP}TIMEOUT", "soon"),
        (f"{OTLP}COMPRESSION", "zstd"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, text: str) -> None:
    row = next(row for row in VARIABLES if name in row.names)
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({name: text})
    assert str(caught.value) == f"{name}={text!r} is not allowed. Allowed: {row.allowed}."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (f"{OTLP}HEADERS", "Bearer sk-CANARY"),
        (f"{OTLP}HEADERS", "a b=CANARY"),
        (f"{OTLP}HEADERS", "a=CANARY%0d%0aX: y"),
        (f"{OTLP}HEADERS", "a=CANARY%ff"),
        (f"{OTLP}ENDPOINT", "ftp://user:CANARY@host"),
        (f"{OTLP}ENDPOINT", "http://host:CANARY"),
        (f"{OTLP}ENDPOINT", "http://[CANARY"),
        (f"{OTLP}ENDPOINT", "http://ho st/CANARY"),
        (f"{OTLP}ENDPOINT", "http://host:0/CANARY"),
        (f"{OTLP}TRACES_ENDPOINT", "http:///CANARY"),
        ("OTEL_RESOURCE_ATTRIBUTES", "CANARY"),
    ],
)
def test_a_value_that_may_be_secret_is_in_no_message(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is not allowed") as caught:
        Settings.from_env({name: text})
    assert "CANARY" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__


def test_secrets_are_not_in_the_repr() -> None:
    settings = Settings.from_env({f"{OTLP}HEADERS": "k=CANARY", f"{OTLP}ENDPOINT": "http://h/?k=CANARY"})
    assert settings.headers == {"k": "CANARY"}
    assert "CANARY" not in repr(settings)


def test_a_long_wrong_value_is_cut() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({"OTEL_CALLBACKS_CONSOLE": "x" * 1000})
    assert f"={'x' * SHOWN_CHARACTERS!r}… is" in str(caught.value)


def test_an_empty_variable_is_an_unset_one() -> None:
    assert Settings.from_env({name: "  " for row in VARIABLES for name in row.names}) == Settings()


def test_the_variable_of_traces_wins_over_the_one_of_every_signal() -> None:
    both = {f"{OTLP}PROTOCOL": "grpc", f"{OTLP}TRACES_PROTOCOL": "http/protobuf"}
    assert Settings.from_env(both).protocol == "http/protobuf"
    assert Settings.from_env(both | {f"{OTLP}TRACES_PROTOCOL": ""}).protocol == "grpc"


def test_a_boolean_of_opentelemetry_is_false_unless_it_is_true_and_says_so() -> None:
    said: list[str] = []
    assert Settings.from_env({"OTEL_SDK_DISABLED": "1"}, said.append).sdk_disabled is False
    assert said == ["OTEL_SDK_DISABLED='1' is not allowed. Allowed: true or false. The default is used."]
    with pytest.raises(ConfigurationError):
        Settings.from_env({"OTEL_CALLBACKS_CONSOLE": "maybe"}, said.append)


def test_an_argument_wins_even_over_a_wrong_variable() -> None:
    env = {f"{OTLP}PROTOCOL": "smoke signals", "OTEL_SERVICE_NAME": "env", "OTEL_CALLBACKS_CONSOLE": "true"}
    settings = Settings.from_env(env, protocol="grpc", service_name=None, console=False)
    assert (settings.protocol, settings.service_name, settings.console) == ("grpc", "env", False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protocol", "grcp"),
        ("endpoint", "::"),
        ("headers", {"a b": "c"}),
        ("headers", {"a": "x\ny"}),
        ("console", "so"),
    ],
)
def test_an_argument_is_checked_as_its_variable_is(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{field}"):
        Settings.from_env({}, None, **{field: value})


def test_mappings_are_copied() -> None:
    headers = {"Api-Key": "1"}
    attributes = {"a": "b"}
    settings = Settings.from_env({}, headers=headers, resource_attributes=attributes)
    headers["x"] = attributes["x"] = "y"
    assert (settings.headers, settings.resource_attributes) == ({"api-key": "1"}, {"a": "b"})


def test_lenient_reports_and_uses_the_default_of_the_wrong_variable_only() -> None:
    said: list[str] = []
    env = {"OTEL_CALLBACKS_MAX_OPEN_RUNS": "-1", "OTEL_CALLBACKS_MAX_VALUE_LENGTH": "5"}
    settings = Settings.lenient(env, said.append)
    assert (settings.max_open_runs, settings.max_value_length) == (100_000, 5)
    assert len(said) == 1
    assert "OTEL_CALLBACKS_MAX_OPEN_RUNS='-1'" in said[0]
    assert Settings.lenient(env) == settings


def test_what_keeps_things_private_is_never_less_private_for_being_wrong() -> None:
    said: list[str] = []
    wrong = {
        "OTEL_CALLBACKS_CAPTURE_CONTENT": "nil",
        "OTEL_CALLBACKS_CONTENT_FIELDS": "output_mesages",
        "OTEL_CALLBACKS_CAPTURE_ERRORS": "never",
        "OTEL_CALLBACKS_REDACTORS": "email",
    }
    settings = Settings.lenient(wrong, said.append)
    assert (settings.capture_content, settings.content_fields) == ("NO_CONTENT", ())
    assert (settings.capture_errors, settings.redactors) == (False, parsing.REDACTORS)
    assert len(said) == 4
    assert all(line.endswith(" What records the least is used.") for line in said)


@given(st.dictionaries(st.sampled_from([name for row in VARIABLES for name in row.names]), st.text()))
def test_lenient_never_raises(env: dict[str, str]) -> None:
    assert isinstance(Settings.lenient(env), Settings)


@given(st.sampled_from([(row, name) for row in VARIABLES for name in row.names]), st.text(min_size=1))
def test_a_value_is_taken_or_refused_with_a_configuration_error(row: tuple[object, str], text: str) -> None:
    try:
        Settings.from_env({row[1]: text})
    except ConfigurationError as error:
        assert row[1] in str(error)  # noqa: PT017


def test_every_setting_is_a_row_that_says_what_it_is() -> None:
    assert [row.field for row in VARIABLES] == [field.name for field in fields(Settings)]
    assert all(row.doc.endswith(".") and row.allowed and row.names for row in VARIABLES)
    names = [name for row in VARIABLES for name in row.names]
    assert len(names) == len(set(names))
    assert all(name.startswith(("OTEL_CALLBACKS_", "OTEL_")) for name in names)
    assert Settings() == Settings.from_env({}, None, **{row.field: row.default for row in VARIABLES})


def test_the_process_environment_is_not_read_behind_the_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OTEL_CALLBACKS_MAX_OPEN_RUNS", "5")
    assert Settings.from_env({}).max_open_runs == 100_000
