"""Commands that are a client of the fleet: ask, infer."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet.cli.common import Scope, literal, out, print_json
from fleet.cli.options import json_option, site_options
from fleet.domain.guest_addresses import in_url
from fleet.errors import GuestError, UsageError
from fleet.service.status import site_status

if TYPE_CHECKING:
    from fleet.client.grpc import QaAnswer

#: The question and the context of the guide "Scaling Triton Inference Server".
GUIDE_QUESTION = "What are the common substitutions for letters in password?"
GUIDE_CONTEXT = (
    "Good password practices fall into a few broad categories. Maintain an 8-character minimum length requirement. "
    "Don't require character composition requirements. For example, *&(^%$. Don't use a password that is the same or "
    "similar to one you use on any other websites. Don't use a single word, for example, password, or a commonly-used "
    "phrase. Most people use similar patterns, for example, a capital letter in the first position, a symbol in the "
    "last, and a number in the last 2. Cyber criminals know this, so they run their dictionary attacks using the most "
    'common substitutions for example are "@" for "a," "1" for "l". '
)


def balancer_url(scope: Scope) -> str:
    """``ADDRESS:80`` of the chosen fleet's first balancer that serves.

    Raises:
        GuestError: there is none.
    """
    document = site_status(scope.site(), scope.fleet_name())
    fleet = document["fleets"][0]
    for balancer in fleet["balancers"]:
        if balancer["address"] and balancer["state"] == "ready":
            return f"{in_url(balancer['address'])}:80"
    raise GuestError(f"Fleet {fleet['name']} has no balancer that serves: see fleet status, then run fleet add-vm or site.yml.")


@click.command("ask", epilog="Example: fleet ask -n 4")
@click.option("--question", default=GUIDE_QUESTION, help="The question (default: the guide's).")
@click.option("--context", default=GUIDE_CONTEXT, help="The text that holds the answer (default: the guide's).")
@click.option(
    "-n", "--count", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How often to ask, on one channel."
)
@click.option("--model", default="qa", show_default=True, help="The model to ask.")
@click.option("--vocab", type=click.Path(exists=True, dir_okay=False), help="A BERT's vocab.txt, for a model that takes numbers.")
@click.option("--window", type=click.IntRange(16), default=384, show_default=True, help="Words a BERT sees at once.")
@click.option("--stride", type=click.IntRange(1), default=128, show_default=True, help="Words between two of its windows.")
@click.option("--url", help="HOST:PORT of a balancer or a server, instead of the fleet's own balancer.")
@json_option
@site_options
def ask(
    question: str,
    context: str,
    count: int,
    model: str,
    vocab: str | None,
    window: int,
    stride: int,
    url: str | None,
    site_name: str | None,
    fleet: str | None,
    *,
    as_json: bool,
) -> None:
    """Ask the fleet a question through its balancer, over gRPC, and show which server answered.

    The model is one that takes a question and a context as texts, or with --vocab a BERT (input_ids, input_mask, segment_ids).
    """
    from fleet.client import grpc  # loads gRPC and numpy: only the commands that speak to Triton wait for them

    target = url or balancer_url(Scope(site_name, fleet))
    if vocab is None:
        answers = grpc.ask(target, question, context, model=model, count=count)
    else:
        answers = _ask_bert(target, question, context, model=model, count=count, vocab=vocab, size=window, stride=stride)
    per_server = Counter(answer.server or "unknown" for answer in answers)
    if as_json:
        rows = [{"answer": a.text, "server": a.server, "ms": round(a.seconds * 1000, 1)} for a in answers]
        print_json({"schema": 1, "url": target, "question": question, "answers": rows, "per_server": dict(per_server)})
        return
    out.print(f"question: {literal(question)}")
    for answer in answers[:10]:
        where = f"{answer.server or 'unknown'}, {answer.seconds * 1000:.0f} ms"
        out.print(f"answer:   [bold]{literal(answer.text)}[/] [dim]({literal(where)})[/]")
    if len(answers) > 1:
        out.print("answered by: " + ", ".join(f"{literal(name)} {times}" for name, times in sorted(per_server.items())))


def _ask_bert(
    target: str, question: str, context: str, *, model: str, count: int, vocab: str, size: int, stride: int
) -> list[QaAnswer]:
    """The same as :func:`fleet.client.grpc.ask`, for a BERT. Several servers may each have had a part of a long text."""
    from fleet.client.bert import client
    from fleet.client.bert.tokens import Vocabulary
    from fleet.client.grpc import Client, QaAnswer

    vocabulary = Vocabulary(vocab)
    answers = []
    with Client(target) as channel:
        for _ in range(count):
            answer = client.ask(channel, model, vocabulary, question, context, size=size, stride=stride)
            names = sorted({server or "unknown" for server in answer.servers})
            answers.append(QaAnswer(text=answer.text, server=" and ".join(names), seconds=answer.seconds))
    return answers


@click.command("infer", epilog="Example: fleet infer --model echo --input request.json")
@click.option("--model", required=True, help="The model's name.")
@click.option(
    "--input", "input_file", type=click.Path(exists=True, dir_okay=False), required=True, help="A KServe v2 request as JSON."
)
@click.option("--url", help="HOST:PORT of a balancer or a server, instead of the fleet's own balancer.")
@site_options
def infer(model: str, input_file: str, url: str | None, site_name: str | None, fleet: str | None) -> None:
    """Send one inference request to any model of the fleet and print the answer as JSON."""
    try:
        request = json.loads(Path(input_file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{input_file} is not JSON: {error}.") from error
    from fleet.client import grpc

    target = url or balancer_url(Scope(site_name, fleet))
    print_json(grpc.infer(target, model, request))
