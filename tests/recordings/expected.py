"""What is expected of the recordings: one row for each, compared by hand with what the wires say.

Rules for this file: data only. A dash is an attribute that must be absent, because the integration does not hand on what the
provider said: most drop the response's id from a stream, Mistral's the cached tokens; the text completions and Hugging Face's
have no usage in a stream at all; Cohere's gives tokens of the whole answer but billed units of a stream. Input includes the
cache, output includes reasoning. Finish reasons are the provider's own words, as there is no vocabulary for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

RESPONSES: Final = """
recording              scenario  ways            stream  model                                      id                                                     finish      in   out  read  write  reason
anthropic              answer    invoke/ainvoke  -       claude-sonnet-4-5-20250929                 msg_013Zva2CMHLNnXjNJJKqJ2EF                           end_turn    50   9    12    30     -
anthropic              answer    stream/astream  yes     claude-sonnet-4-5-20250929                 -                                                      end_turn    50   9    12    30     -
anthropic              tools     invoke/ainvoke  -       claude-sonnet-4-5-20250929                 msg_013Zva2CMHLNnXjNJJKqJ2EF                           tool_use    50   9    12    30     -
anthropic              tools     stream/astream  yes     claude-sonnet-4-5-20250929                 -                                                      tool_use    50   9    12    30     -
azure-openai           answer    invoke/ainvoke  -       gpt-4o-2024-11-20                          chatcmpl-9J8kLmNoPqRsTuVwXyZ                           stop        20   9    12    -      5
azure-openai           answer    stream/astream  yes     gpt-4o-2024-11-20                          -                                                      stop        20   9    12    -      5
azure-openai           tools     invoke/ainvoke  -       gpt-4o-2024-11-20                          chatcmpl-9J8kLmNoPqRsTuVwXyZ                           tool_calls  20   9    12    -      5
azure-openai           tools     stream/astream  yes     gpt-4o-2024-11-20                          -                                                      tool_calls  20   9    12    -      5
azure-openai           choices   invoke/ainvoke  -       gpt-4o-2024-11-20                          chatcmpl-9J8kLmNoPqRsTuVwXyZ                           stop,stop   20   9    12    -      5
bedrock-converse       answer    invoke/ainvoke  -       anthropic.claude-sonnet-4-5-20250929-v1:0  -                                                      end_turn    50   9    12    30     -
bedrock-converse       answer    stream/astream  yes     anthropic.claude-sonnet-4-5-20250929-v1:0  -                                                      end_turn    50   9    12    30     -
bedrock-converse       tools     invoke/ainvoke  -       anthropic.claude-sonnet-4-5-20250929-v1:0  -                                                      tool_use    50   9    12    30     -
bedrock-converse       tools     stream/astream  yes     anthropic.claude-sonnet-4-5-20250929-v1:0  -                                                      tool_use    50   9    12    30     -
bedrock-invoke         answer    invoke/ainvoke  -       anthropic.claude-sonnet-4-5-20250929-v1:0  -                                                      end_turn    50   9    12    30     -
bedrock-invoke         answer    stream/astream  yes     anthropic.claude-sonnet-4-5-20250929-v1:0  -                                                      end_turn    50   9    12    30     -
bedrock-invoke         tools     invoke/ainvoke  -       anthropic.claude-sonnet-4-5-20250929-v1:0  -                                                      tool_use    50   9    12    30     -
bedrock-invoke         tools     stream/astream  yes     anthropic.claude-sonnet-4-5-20250929-v1:0  -                                                      tool_use    50   9    12    30     -
cohere                 answer    invoke/ainvoke  -       -                                          c14c80c3-18eb-4519-9460-6c92edd8cfb4                   COMPLETE    83   11   -     -      -
cohere                 answer    stream          yes     -                                          -                                                      COMPLETE    17   9    -     -      -
cohere                 answer    astream         yes     -                                          -                                                      COMPLETE    17   9    -     -      -
cohere                 tools     invoke/ainvoke  -       -                                          c14c80c3-18eb-4519-9460-6c92edd8cfb4                   TOOL_CALL   83   11   -     -      -
cohere                 tools     stream          yes     -                                          -                                                      TOOL_CALL   17   9    -     -      -
cohere                 tools     astream         yes     -                                          -                                                      TOOL_CALL   17   9    -     -      -
deepseek               answer    invoke/ainvoke  -       deepseek-reasoner                          930c60df-bf64-41c9-a88e-3ec75f81e00e                   stop        20   9    12    -      5
deepseek               answer    stream/astream  yes     deepseek-reasoner                          -                                                      stop        20   9    12    -      5
deepseek               tools     invoke/ainvoke  -       deepseek-reasoner                          930c60df-bf64-41c9-a88e-3ec75f81e00e                   tool_calls  20   9    12    -      5
deepseek               tools     stream/astream  yes     deepseek-reasoner                          -                                                      tool_calls  20   9    12    -      5
fireworks              answer    invoke/ainvoke  -       accounts/fireworks/models/gpt-oss-20b      -                                                      stop        20   9    12    -      -
fireworks              answer    stream/astream  yes     accounts/fireworks/models/gpt-oss-20b      -                                                      stop        20   9    12    -      -
fireworks              tools     invoke/ainvoke  -       accounts/fireworks/models/gpt-oss-20b      -                                                      tool_calls  20   9    12    -      -
fireworks              tools     stream/astream  yes     accounts/fireworks/models/gpt-oss-20b      -                                                      tool_calls  20   9    12    -      -
google-genai-vertexai  answer    invoke/ainvoke  -       gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-genai-vertexai  answer    stream/astream  yes     gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-genai           answer    invoke/ainvoke  -       gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-genai           answer    stream/astream  yes     gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-genai           tools     invoke/ainvoke  -       gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-genai           tools     stream/astream  yes     gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-genai           choices   invoke/ainvoke  -       gemini-2.5-flash                           -                                                      STOP,STOP   278  14   12    -      5
google-vertexai        answer    invoke          -       gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-vertexai        answer    stream          yes     gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-vertexai        tools     invoke          -       gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-vertexai        tools     stream          yes     gemini-2.5-flash                           -                                                      STOP        278  14   12    -      5
google-vertexai        choices   invoke          -       gemini-2.5-flash                           -                                                      STOP,STOP   278  14   12    -      5
groq                   answer    invoke/ainvoke  -       openai/gpt-oss-20b                         -                                                      stop        20   9    12    -      5
groq                   answer    stream/astream  yes     openai/gpt-oss-20b                         -                                                      stop        20   9    12    -      5
groq                   tools     invoke/ainvoke  -       openai/gpt-oss-20b                         -                                                      tool_calls  20   9    12    -      5
groq                   tools     stream/astream  yes     openai/gpt-oss-20b                         -                                                      tool_calls  20   9    12    -      5
huggingface            answer    invoke/ainvoke  -       -                                          -                                                      stop        20   9    -     -      -
huggingface            answer    stream/astream  yes     -                                          -                                                      stop        -    -    -     -      -
mistral                answer    invoke/ainvoke  -       mistral-small-latest                       -                                                      stop        20   9    12    -      -
mistral                answer    stream/astream  yes     mistral-small-latest                       -                                                      stop        20   9    -     -      -
mistral                tools     invoke/ainvoke  -       mistral-small-latest                       -                                                      tool_calls  20   9    12    -      -
mistral                tools     stream/astream  yes     mistral-small-latest                       -                                                      tool_calls  20   9    -     -      -
ollama                 answer    invoke/ainvoke  yes     llama3.2                                   -                                                      stop        26   282  -     -      -
ollama                 answer    stream/astream  yes     llama3.2                                   -                                                      stop        26   282  -     -      -
ollama                 tools     invoke/ainvoke  yes     llama3.2                                   -                                                      stop        26   282  -     -      -
ollama                 tools     stream/astream  yes     llama3.2                                   -                                                      stop        26   282  -     -      -
openai-completions     answer    invoke/ainvoke  -       gpt-3.5-turbo-instruct                     -                                                      stop        20   9    -     -      -
openai-completions     answer    stream/astream  yes     -                                          -                                                      stop        -    -    -     -      -
openai-completions     choices   invoke/ainvoke  -       gpt-3.5-turbo-instruct                     -                                                      stop,stop   20   9    -     -      -
openai-responses       answer    invoke/ainvoke  -       gpt-5-mini-2025-08-07                      resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41  completed   36   87   12    -      64
openai-responses       answer    stream/astream  yes     gpt-5-mini-2025-08-07                      resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41  completed   36   87   12    -      64
openai-responses       tools     invoke/ainvoke  -       gpt-5-mini-2025-08-07                      resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41  completed   36   87   12    -      64
openai-responses       tools     stream/astream  yes     gpt-5-mini-2025-08-07                      resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41  completed   36   87   12    -      64
openai                 answer    invoke/ainvoke  -       gpt-5-mini-2025-08-07                      chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG                 stop        20   9    12    -      5
openai                 answer    stream/astream  yes     gpt-5-mini-2025-08-07                      -                                                      stop        20   9    12    -      5
openai                 tools     invoke/ainvoke  -       gpt-5-mini-2025-08-07                      chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG                 tool_calls  20   9    12    -      5
openai                 tools     stream/astream  yes     gpt-5-mini-2025-08-07                      -                                                      tool_calls  20   9    12    -      5
openai                 choices   invoke/ainvoke  -       gpt-5-mini-2025-08-07                      chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG                 stop,stop   20   9    12    -      5
openrouter             answer    invoke/ainvoke  -       openai/gpt-5-mini                          gen-1750000000-AbCdEfGhIjKlMnOpQrSt                    stop        20   9    12    -      5
openrouter             answer    stream/astream  yes     openai/gpt-5-mini                          gen-1750000000-AbCdEfGhIjKlMnOpQrSt                    stop        20   9    12    -      5
openrouter             tools     invoke/ainvoke  -       openai/gpt-5-mini                          gen-1750000000-AbCdEfGhIjKlMnOpQrSt                    tool_calls  20   9    12    -      5
openrouter             tools     stream/astream  yes     openai/gpt-5-mini                          gen-1750000000-AbCdEfGhIjKlMnOpQrSt                    tool_calls  20   9    12    -      5
perplexity             answer    invoke/ainvoke  -       sonar-pro                                  -                                                      -           20   9    -     -      5
perplexity             answer    stream/astream  yes     sonar-pro                                  -                                                      stop        20   9    -     -      5
together               answer    invoke/ainvoke  -       meta-llama/Llama-3.3-70B-Instruct-Turbo    o669aNj-4yUhN4-9643acbe6f3d6f6b                        stop        20   9    -     -      -
together               answer    stream/astream  yes     meta-llama/Llama-3.3-70B-Instruct-Turbo    -                                                      stop        20   9    -     -      -
xai                    answer    invoke/ainvoke  -       grok-4-0709                                0daf962f-a275-4a3c-839a-047854645532                   stop        20   14   12    -      5
xai                    answer    stream/astream  yes     grok-4-0709                                -                                                      stop        20   14   12    -      5
xai                    tools     invoke/ainvoke  -       grok-4-0709                                0daf962f-a275-4a3c-839a-047854645532                   tool_calls  20   14   12    -      5
xai                    tools     stream/astream  yes     grok-4-0709                                -                                                      tool_calls  20   14   12    -      5
"""

# Vertex AI counts by modality; LangChain hands that on unless the answer is streamed.
BY_MODALITY: Final[Mapping[str, int]] = {
    "gen_ai.usage.text.input_tokens": 20,
    "gen_ai.usage.image.input_tokens": 258,
    "gen_ai.usage.text.output_tokens": 9,
    "gen_ai.usage.text.cache_read.input_tokens": 12,
}

# Between a streamed answer and the same one in one piece, what the integration loses: nothing else may differ.
LOST: Final[Mapping[str, tuple[str, ...]]] = {
    "cohere": ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    "google-vertexai": tuple(BY_MODALITY),
    "huggingface": ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    "mistral": ("gen_ai.usage.cache_read.input_tokens",),
    "openai-completions": (
        "gen_ai.response.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
    ),
    "perplexity": ("gen_ai.response.finish_reasons",),  # of an answer in one piece
}

# Of every call: the server aside, which is the loopback one wherever the integration says which it is.
REQUESTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "anthropic": {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.top_p": 0.9,
    },
    "azure-openai": {
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "my-gpt-4o",
        "gen_ai.request.presence_penalty": 0.75,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "openai.api.type": "chat_completions",
    },
    "bedrock-converse": {
        "aws.bedrock.guardrail.id": "gr-1",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
    },
    "bedrock-invoke": {
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
    },
    "cohere": {
        "gen_ai.provider.name": "cohere",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "command-a-03-2025",
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.top_p": 0.9,
    },
    "deepseek": {
        "gen_ai.provider.name": "deepseek",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "deepseek-reasoner",
        "gen_ai.request.temperature": 0.5,
    },
    "fireworks": {
        "gen_ai.provider.name": "fireworks",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "accounts/fireworks/models/gpt-oss-20b",
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
    },
    "google-genai-vertexai": {
        "gen_ai.provider.name": "gcp.vertex_ai",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.request.temperature": 0.5,
    },
    "google-genai": {
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.top_p": 0.9,
    },
    "google-vertexai": {
        "gen_ai.provider.name": "gcp.vertex_ai",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.top_p": 0.9,
    },
    "groq": {
        "gen_ai.provider.name": "groq",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "openai/gpt-oss-20b",
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
    },
    "huggingface": {
        "gen_ai.provider.name": "huggingface",
        "gen_ai.request.max_tokens": 512,
        "gen_ai.request.temperature": 0.5,
    },
    "mistral": {
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "mistral-small-latest",
        "gen_ai.request.seed": 7,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
    },
    "ollama": {
        "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": "llama3.2",
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.temperature": 0.5,
    },
    "openai-completions": {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.frequency_penalty": 0.0,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "gpt-3.5-turbo-instruct",
        "gen_ai.request.presence_penalty": 0.0,
        "gen_ai.request.seed": 7,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
    },
    "openai-responses": {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.request.previous_response.id": "resp_previous",
        "gen_ai.request.reasoning.level": "low",
        "openai.api.type": "responses",
        "openai.request.service_tier": "flex",
    },
    "openai": {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.request.presence_penalty": 0.75,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.top_p": 0.9,
        "openai.api.type": "chat_completions",
        "openai.request.service_tier": "flex",
    },
    "openrouter": {
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "openai/gpt-5-mini",
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.temperature": 0.5,
    },
    "perplexity": {
        "gen_ai.provider.name": "perplexity",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "sonar-pro",
        "gen_ai.request.temperature": 0.5,
    },
    "together": {
        "gen_ai.provider.name": "together",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "gen_ai.request.temperature": 0.5,
    },
    "xai": {
        "gen_ai.provider.name": "x_ai",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.model": "grok-4",
        "gen_ai.request.temperature": 0.5,
    },
}
SERVERLESS: Final = frozenset({"perplexity"})

# Said of every response of a provider, beside the table.
MORE: Final[Mapping[str, Mapping[str, Any]]] = {
    "azure-openai": {"openai.response.system_fingerprint": "fp_b705f0c291"},
    "openai-responses": {"openai.response.service_tier": "default"},
    "openai": {
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_fc9f1d7035",
    },
}
