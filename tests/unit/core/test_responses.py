"""What a model's end says, where no recorded provider shows it: usage in odd places, several choices, unfinished responses."""

from __future__ import annotations

from typing import Any

import pytest

from otel_callbacks.core import response

USAGE = "gen_ai.usage."


def of(*messages: dict[str, Any], llm_output: Any = None) -> dict[str, Any]:
    """Return what is said of a result with these messages, one generation each."""
    return dict(
        response.of_llm(
            {"generations": [[{"message": message} for message in messages]], "llm_output": llm_output}
        )
    )


def counts(said: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(USAGE): value for name, value in said.items() if name.startswith(USAGE)}


def usage(given: int, told: int, **more: Any) -> dict[str, Any]:
    return {"usage_metadata": {"input_tokens": given, "output_tokens": told, **more}}


def test_choices_that_carry_the_requests_usage_are_not_added_up() -> None:
    choice = usage(20, 9, input_token_details={"cache_read": 12})
    assert counts(of(choice, choice)) == {
        "input_tokens": 20,
        "output_tokens": 9,
        "cache_read.input_tokens": 12,
    }


def test_choices_that_carry_their_own_usage_are_added_up() -> None:
    assert counts(of(usage(20, 9), usage(20, 4))) == {"input_tokens": 40, "output_tokens": 13}


def test_choices_that_carry_their_own_usage_have_the_requests_in_the_output() -> None:
    output = {
        "token_usage": {
            "prompt_tokens": 20,
            "completion_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
    }
    assert counts(of(usage(20, 9), usage(20, 4), llm_output=output)) == {
        "input_tokens": 20,
        "output_tokens": 13,
        "cache_read.input_tokens": 4,
    }


@pytest.mark.parametrize("missing", [{}, usage(0, 0), usage(0, 0, input_token_details={"cache_read": 0})])
def test_zeros_are_unknown_and_unknown_is_not_zero(missing: dict[str, Any]) -> None:
    assert counts(of(missing)) == {}
    assert counts(of(missing, llm_output={"token_usage": {}})) == {}


def test_an_answer_without_a_token_is_known_to_have_none() -> None:
    assert counts(of(usage(20, 0))) == {"input_tokens": 20, "output_tokens": 0}


def test_output_alone_is_said_alone() -> None:
    assert counts(of({"usage_metadata": {"output_tokens": 3}})) == {"output_tokens": 3}
    assert counts(of({"usage_metadata": {"input_tokens": 3}})) == {"input_tokens": 3}


@pytest.mark.parametrize("total", [34, None])
def test_reasoning_beside_the_output_is_added_to_it_where_the_total_tells(total: int | None) -> None:
    given = usage(20, 9, total_tokens=total, output_token_details={"reasoning": 5})
    assert counts(of(given))["output_tokens"] == (14 if total else 9)


def test_an_answers_own_usage_that_excludes_the_cache_is_completed() -> None:
    raw = {
        "input_tokens": 8,
        "output_tokens": 9,
        "cache_read_input_tokens": 12,
        "cache_creation_input_tokens": 30,
    }
    assert counts(of({}, llm_output={"usage": raw})) == {
        "input_tokens": 50,
        "output_tokens": 9,
        "cache_read.input_tokens": 12,
        "cache_write.input_tokens": 30,
        "cache_creation.input_tokens": 30,
    }
    raw = {
        "prompt_tokens": 8,
        "completion_tokens": 9,
        "cache_read_input_tokens": 0,
        "cache_write_input_tokens": 0,
    }
    assert counts(of({"response_metadata": {"usage": raw}})) == {"input_tokens": 8, "output_tokens": 9}


@pytest.mark.parametrize(
    ("details", "written"),
    [
        ({"cache_creation": 30}, 30),
        ({"cache_creation": 0, "ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}, 30),
        ({"cache_creation": 30, "ephemeral_5m_input_tokens": 30}, 30),
        ({"ephemeral_5m_input_tokens": 7}, 7),
        ({"cache_creation": 0}, None),
    ],
)
def test_what_was_written_to_the_cache_is_its_sum_or_its_parts(
    details: dict[str, Any], written: int | None
) -> None:
    said = counts(of(usage(50, 9, input_token_details=details)))
    assert said.get("cache_write.input_tokens") == written
    assert said.get("cache_creation.input_tokens") == written


def test_tokens_are_said_by_modality() -> None:
    said = counts(
        of(usage(50, 9, input_token_details={"audio": 20, "image": 5}, output_token_details={"audio": 7, "text": 2}))
    )  # fmt: skip
    assert said == {
        "input_tokens": 50,
        "output_tokens": 9,
        "audio.input_tokens": 20,
        "image.input_tokens": 5,
        "audio.output_tokens": 7,
        "text.output_tokens": 2,
    }


def test_modalities_without_a_name_or_a_count_are_left_out() -> None:
    listed = [{"modality": "VIDEO", "token_count": 3}, {"modality": "TEXT", "token_count": 0}, {}, None]
    metadata = {"usage_metadata": {"prompt_tokens_details": listed}}
    assert counts(of({**usage(3, 1), "response_metadata": metadata})) == {
        "input_tokens": 3,
        "output_tokens": 1,
    }


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"object": "response", "status": "completed"}, "completed"),
        (
            {
                "object": "response",
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
            },
            "max_output_tokens",
        ),
        ({"object": "response"}, None),
        ({"status": "completed"}, None),
        ({"finish_reason": "FINISH_REASON_UNSPECIFIED"}, None),
        ({"finish_reason": "FINISH_REASON_UNSPECIFIED" * 2 + "MAX_TOKENS"}, "MAX_TOKENS"),
    ],
)
def test_a_reason_is_the_providers_own_word(metadata: dict[str, Any], reason: str | None) -> None:
    said = of({"response_metadata": metadata}).get("gen_ai.response.finish_reasons")
    assert said == ((reason,) if reason else None)


def test_openais_own_fields_are_openais_only() -> None:
    metadata = {"service_tier": "flex", "system_fingerprint": "", "object": "response"}
    assert of({"response_metadata": {**metadata, "model_provider": "groq"}}) == {}
    assert of({"response_metadata": {**metadata, "model_provider": "openai"}}) == {
        "openai.api.type": "responses",
        "openai.response.service_tier": "flex",
    }


def test_an_endpoint_is_no_model() -> None:
    assert of({"response_metadata": {"model_name": "http://key@host"}}) == {}
