"""``otel-callbacks demo``: its arguments."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from otel_callbacks.cli.command import Command


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file",
        type=Path,
        metavar="PATH",
        help="write the traces to PATH as OTLP JSON lines (default: otel-callbacks-demo.jsonl, unless they are exported)",
    )
    real = parser.add_argument_group(
        "a real model",
        "any service with OpenAI's API; its key is read from OPENAI_API_KEY, and no fault is staged",
    )
    real.add_argument("--base-url", metavar="URL", help="for example http://localhost:11434/v1")
    real.add_argument("--model", metavar="NAME", help="the chat model")
    real.add_argument(
        "--embedding-model",
        metavar="NAME",
        default="text-embedding-3-small",
        help="the embedding model (default: %(default)s)",
    )
    parser.set_defaults(refuse=parser.error)


def _run(arguments: argparse.Namespace) -> int:
    from otel_callbacks.demo import destination, requirements  # noqa: PLC0415  # see the rules in cli/__init__.py

    if bool(arguments.base_url) != bool(arguments.model):
        arguments.refuse(
            "--base-url and --model belong together: give both, or neither for the simulated model"
        )
    requirements.check()
    from otel_callbacks.demo.models import Service  # noqa: PLC0415  # needs what was just checked
    from otel_callbacks.demo.run import run  # noqa: PLC0415  # needs what was just checked

    service = arguments.base_url and Service(
        base_url=arguments.base_url,
        model=arguments.model,
        embedding_model=arguments.embedding_model,
        api_key=os.environ.get("OPENAI_API_KEY") or "none",
        simulated=False,
    )
    return run(destination.choose(arguments.file, os.environ), service or None, sys.stdout)


COMMAND = Command(
    name="demo",
    help="trace five LangChain flows and show what is seen",
    description="Runs five LangChain and LangGraph flows against a simulated model on this machine and shows their"
    " traces. With OTEL_EXPORTER_OTLP_ENDPOINT set they are exported there, otherwise written to a file.",
    add_arguments=_add_arguments,
    run=_run,
)
