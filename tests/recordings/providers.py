"""Which providers are recorded, how their models are made, and which of the wires answers them.

Rules for this file: a table; no provider's package is imported here. Keys are fake, and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tests.recordings import wires
from tests.recordings.wires import (
    Answered,
    Asked,
    anthropic,
    bedrock,
    cohere,
    google,
    ollama,
    openai_chat,
    openai_responses,
)

_KEY: Final = "not-a-key"
_ALL: Final = (wires.ANSWER, wires.TOOLS, wires.LIMITED, wires.REJECTED)
_SAMPLING: Final = {"temperature": 0.5, "max_tokens": 64}
_OPENAI: Final = {
    "temperature": 0.5, "max_tokens": 64, "top_p": 0.9, "seed": 7, "stop": ["END"],
    "frequency_penalty": 0.25, "presence_penalty": 0.75,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Provider:
    """One model class of one package, and who answers it.

    Attributes:
        package: The distribution; its version stands in the recording.
        cls: ``module:Class`` of the model.
        make: Arguments of the constructor; every ``{url}`` becomes the loopback server's URL.
        reply: The wire.
        scenarios: What is played.
        call: Arguments of each call.
        env: Environment variables that the package reads.
        asynchronous: Whether the package has an asynchronous client that can be pointed at another server.
        wrap: ``module:Class`` of a chat model around *cls*.
    """

    package: str
    cls: str
    make: Mapping[str, Any]
    reply: Callable[[Asked], Answered]
    scenarios: tuple[str, ...] = _ALL
    call: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    asynchronous: bool = True
    wrap: str | None = None


def _chat(dialect: openai_chat.Dialect) -> Callable[[Asked], Answered]:
    return partial(openai_chat.reply, dialect)


_WITH_CHOICES: Final = (*_ALL, wires.CHOICES)
_AWS: Final = {
    "region_name": "us-east-1",
    "endpoint_url": "{url}",
    "aws_access_key_id": _KEY,
    "aws_secret_access_key": _KEY,
}

PROVIDERS: Final[Mapping[str, Provider]] = {
    "openai": Provider(
        "langchain-openai",
        "langchain_openai:ChatOpenAI",
        {"model": "gpt-5-mini", "base_url": "{url}/v1", "api_key": _KEY, "max_retries": 0, **_OPENAI}
        | {"stream_usage": True, "reasoning_effort": "low", "service_tier": "flex"},
        _chat(openai_chat.OPENAI),
        _WITH_CHOICES,
    ),
    "openai-responses": Provider(
        "langchain-openai",
        "langchain_openai:ChatOpenAI",
        {"model": "gpt-5-mini", "base_url": "{url}/v1", "api_key": _KEY, "max_retries": 0, **_SAMPLING}
        | {"use_responses_api": True, "reasoning": {"effort": "low"}, "service_tier": "flex"},
        openai_responses.reply,
        call={"previous_response_id": "resp_previous"},
    ),
    "openai-completions": Provider(
        "langchain-openai",
        "langchain_openai:OpenAI",
        {"model": "gpt-3.5-turbo-instruct", "base_url": "{url}/v1", "api_key": _KEY, "max_retries": 0}
        | {"temperature": 0.5, "max_tokens": 64, "seed": 7},
        openai_chat.completions,
        (wires.ANSWER, wires.CHOICES, wires.LIMITED),
    ),
    "azure-openai": Provider(
        "langchain-openai",
        "langchain_openai:AzureChatOpenAI",
        {"azure_deployment": "my-gpt-4o", "api_version": "2024-10-21", "azure_endpoint": "{url}"}
        | {"api_key": _KEY, "max_retries": 0, "stream_usage": True, **_OPENAI},
        _chat(openai_chat.AZURE),
        _WITH_CHOICES,
    ),
    "anthropic": Provider(
        "langchain-anthropic",
        "langchain_anthropic:ChatAnthropic",
        {"model": "claude-sonnet-4-5", "base_url": "{url}", "api_key": _KEY, "max_retries": 0}
        | {"temperature": 0.5, "max_tokens": 64, "top_k": 40, "top_p": 0.9, "stop": ["END"]}
        | {"effort": "low"},
        anthropic.reply,
    ),
    "google-genai": Provider(
        "langchain-google-genai",
        "langchain_google_genai:ChatGoogleGenerativeAI",
        {"model": "gemini-2.5-flash", "base_url": "{url}", "api_key": _KEY, "max_retries": 1}
        | {"temperature": 0.5, "max_tokens": 64, "top_k": 40, "top_p": 0.9, "stop": ["END"], "seed": 7}
        | {"thinking_level": "low"},
        google.reply,
        _WITH_CHOICES,
    ),
    "google-vertexai": Provider(
        "langchain-google-vertexai",
        "langchain_google_vertexai:ChatVertexAI",
        {
            "model": "gemini-2.5-flash",
            "project": "p",
            "location": "us-central1",
            "credentials": "{credentials}",
        }
        | {"api_endpoint": "{url}", "api_transport": "rest", "max_retries": 1}
        | {"temperature": 0.5, "max_tokens": 64, "top_k": 40, "top_p": 0.9, "stop": ["END"], "seed": 7},
        partial(google.reply, as_array=True),
        _WITH_CHOICES,
        asynchronous=False,
    ),
    "google-genai-vertexai": Provider(
        "langchain-google-genai",
        "langchain_google_genai:ChatGoogleGenerativeAI",
        {
            "model": "gemini-2.5-flash",
            "project": "p",
            "location": "us-central1",
            "credentials": "{credentials}",
        }
        | {"base_url": "{url}", "vertexai": True, "max_retries": 1, **_SAMPLING},
        google.reply,
        (wires.ANSWER,),
    ),
    "bedrock-converse": Provider(
        "langchain-aws",
        "langchain_aws:ChatBedrockConverse",
        {"model": "anthropic.claude-sonnet-4-5-20250929-v1:0", **_AWS, **_SAMPLING}
        | {"top_p": 0.9, "stop_sequences": ["END"], "max_retries": 0}
        | {"guardrails": {"guardrailIdentifier": "gr-1", "guardrailVersion": "1"}},
        bedrock.reply,
    ),
    "bedrock-invoke": Provider(
        "langchain-aws",
        "langchain_aws:ChatBedrock",
        {"model": "anthropic.claude-sonnet-4-5-20250929-v1:0", **_AWS, **_SAMPLING}
        | {"stop_sequences": ["END"], "max_retries": 0},
        bedrock.reply,
    ),
    "mistral": Provider(
        "langchain-mistralai",
        "langchain_mistralai:ChatMistralAI",
        {"model": "mistral-small-latest", "base_url": "{url}/v1", "api_key": _KEY, "max_retries": 1}
        | {"temperature": 0.5, "max_tokens": 64, "top_p": 0.9, "random_seed": 7},
        _chat(openai_chat.MISTRAL),
    ),
    "groq": Provider(
        "langchain-groq",
        "langchain_groq:ChatGroq",
        {"model": "openai/gpt-oss-20b", "base_url": "{url}", "api_key": _KEY, "max_retries": 0}
        | {
            **_SAMPLING,
            "stop": ["END"],
            "reasoning_effort": "low",
            "model_kwargs": {"top_p": 0.9, "seed": 7},
        },
        _chat(openai_chat.GROQ),
    ),
    "cohere": Provider(
        "langchain-cohere",
        "langchain_cohere:ChatCohere",
        {"model": "command-a-03-2025", "base_url": "{url}", "cohere_api_key": _KEY, "temperature": 0.5}
        | {"stop": ["END"]},
        cohere.reply,
        call={"max_tokens": 64, "k": 40, "p": 0.9, "seed": 7},
    ),
    "ollama": Provider(
        "langchain-ollama",
        "langchain_ollama:ChatOllama",
        {"model": "llama3.2", "base_url": "{url}", "temperature": 0.5, "num_predict": 64, "top_k": 40}
        | {"top_p": 0.9, "seed": 7, "stop": ["END"]},
        ollama.reply,
    ),
    "deepseek": Provider(
        "langchain-deepseek",
        "langchain_deepseek:ChatDeepSeek",
        {
            "model": "deepseek-reasoner",
            "base_url": "{url}/v1",
            "api_key": _KEY,
            "max_retries": 0,
            **_SAMPLING,
        },
        _chat(openai_chat.DEEPSEEK),
    ),
    "fireworks": Provider(
        "langchain-fireworks",
        "langchain_fireworks:ChatFireworks",
        {"model": "accounts/fireworks/models/gpt-oss-20b", "base_url": "{url}/v1", "api_key": _KEY}
        | {"max_retries": 0, **_SAMPLING, "stop": ["END"]},
        _chat(openai_chat.FIREWORKS),
    ),
    "xai": Provider(
        "langchain-xai",
        "langchain_xai:ChatXAI",
        {"model": "grok-4", "base_url": "{url}/v1", "api_key": _KEY, "max_retries": 0, **_SAMPLING}
        | {"stream_usage": True},
        _chat(openai_chat.XAI),
    ),
    "together": Provider(
        "langchain-together",
        "langchain_together:ChatTogether",
        {"model": "meta-llama/Llama-3.3-70B-Instruct-Turbo", "base_url": "{url}/v1", "api_key": _KEY}
        | {"max_retries": 0, **_SAMPLING},
        _chat(openai_chat.TOGETHER),
        (wires.ANSWER,),
    ),
    "openrouter": Provider(
        "langchain-openrouter",
        "langchain_openrouter:ChatOpenRouter",
        {"model": "openai/gpt-5-mini", "base_url": "{url}/v1", "api_key": _KEY, "max_retries": 0}
        | {**_SAMPLING, "reasoning": {"effort": "low"}},
        _chat(openai_chat.OPENROUTER),
        (wires.ANSWER, wires.TOOLS),
    ),
    "perplexity": Provider(
        "langchain-perplexity",
        "langchain_perplexity:ChatPerplexity",
        {"model": "sonar-pro", "api_key": _KEY, "max_retries": 0, **_SAMPLING},
        _chat(openai_chat.PERPLEXITY),
        (wires.ANSWER,),
        env={"PERPLEXITY_BASE_URL": "{url}"},
    ),
    "huggingface": Provider(
        "langchain-huggingface",
        "langchain_huggingface:HuggingFaceEndpoint",
        {"endpoint_url": "{url}", "huggingfacehub_api_token": "hf_not_a_key", "temperature": 0.5},
        _chat(openai_chat.HUGGINGFACE),
        (wires.ANSWER,),
        wrap="langchain_huggingface:ChatHuggingFace",
    ),
}
