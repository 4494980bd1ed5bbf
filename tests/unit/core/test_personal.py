"""What tells of a person is taken out where it is asked for; what only looks like it stays."""

from __future__ import annotations

import re

import pytest

from otel_callbacks.core import personal
from otel_callbacks.core.personal import credit_cards, emails, ibans, phone_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to bob@example.com, now", "to [email], now"),
        ("Bob.O'Brien+x@mail.example.co.uk", "[email]"),
        ("<a@b.de>;<c@d.org>", "<[email]>;<[email]>"),
        ("a@b", "a@b"), ("@user", "@user"), ("x @example.com", "x @example.com"), ("no at", "no at"), ("a@@b.com", "a@@b.com"),
        ("a@b.com@c.de", "[email]@c.de"),
    ],
)  # fmt: skip
def test_emails(text: str, expected: str) -> None:
    assert emails(text) == expected


@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "3056 9309 0259 04", "6011111111111117", "2223003122003222", "4222222222222"],
)  # fmt: skip
def test_credit_cards(number: str) -> None:
    assert credit_cards(f"pay with {number}.") == "pay with [credit card]."


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "1234567890123456",
        "41111111111111111111",
        "a4111111111111111",
        "411111111111",
        "2026-11-21 13:00:00",
    ],
)
def test_a_number_that_is_no_cards_stays(text: str) -> None:
    assert credit_cards(text) == text


@pytest.mark.parametrize(
    "number", ["+49 30 901820", "+1 (212) 555-0100", "(212) 555-0100", "212-555-0100", "+442071838750"]
)
def test_phone_numbers(number: str) -> None:
    assert phone_numbers(f"call {number} today") == "call [phone number] today"


@pytest.mark.parametrize("text", ["2026-11-21", "192.168.100.200", "12345", "1,234,567", "+1", "v1.2.3-4567"])
def test_what_is_no_phone_number_stays(text: str) -> None:
    assert phone_numbers(text) == text


def test_ibans() -> None:
    assert ibans("to DE89 3704 0044 0532 0130 00, or GB82WEST12345698765432") == "to [iban], or [iban]"
    assert ibans("DE89 3704 0044 0532 0130 01") == "DE89 3704 0044 0532 0130 01"


@pytest.mark.parametrize(
    "pattern", [personal._DOMAIN, personal._LOCAL, personal._CARD, personal._PHONE, personal._IBAN]
)
def test_the_patterns_are_bounded(pattern: re.Pattern[str]) -> None:
    assert not re.search(r"(?<!\\)[*+](?![^\[]*\])", pattern.pattern)


@pytest.mark.parametrize("piece", ["a@", "a.", "@a.", "1 ", "4", "+1", "DE89", "a" * 63 + "."])
def test_long_texts_come_back(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    for redactor in (emails, credit_cards, phone_numbers, ibans):
        assert isinstance(redactor(text), str)
