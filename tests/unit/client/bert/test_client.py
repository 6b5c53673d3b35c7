"""The lab's BERT that is none, and a double with TensorFlow's interface, asked over real gRPC."""

from __future__ import annotations

import json
import sys
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner
from tritonclient.grpc import service_pb2, service_pb2_grpc

from fleet.cli import main
from fleet.cli.ask import GUIDE_CONTEXT, GUIDE_QUESTION
from fleet.client import grpc as client
from fleet.client.bert.client import ask
from fleet.client.bert.tokens import Vocabulary
from fleet.errors import UsageError

ROOT = Path(__file__).parents[4]
MODEL = ROOT / "lab" / "models" / "bert" / "1"
FILLER = (
    "The committee met again on the usual day and wrote nothing of any note about its long and quiet work in the small town. "
)


@pytest.fixture(scope="module")
def squad():
    sys.path.insert(0, str(MODEL))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # byte code would go into the model repository
    try:
        from squad import Squad

        yield Squad((MODEL / "vocab.txt").read_text(encoding="utf-8").split("\n"))
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(MODEL))


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`bert` as NVIDIA's TensorRT plan, `tf` as its TensorFlow export without batches, `other` as something else."""

    def __init__(self, squad) -> None:
        self.squad = squad
        self.rows: list[int] = []

    def ModelMetadata(self, request, context):  # noqa: N802
        answer = service_pb2.ModelMetadataResponse(name=request.name)
        batch = [] if request.name == "tf" else [-1]
        names = ["input_ids", "segment_ids", "input_mask"] + (["unique_ids"] if request.name == "tf" else [])
        for name in names if request.name != "other" else ["pixels"]:
            answer.inputs.add(name=name, datatype="INT32", shape=[*batch, 1 if name == "unique_ids" else 384])
        for name in ["start_logits", "end_logits"] if request.name == "tf" else ["cls_squad_logits"]:
            answer.outputs.add(name=name, datatype="FP32", shape=[*batch, 384])
        return answer

    def ModelConfig(self, request, context):  # noqa: N802
        answer = service_pb2.ModelConfigResponse()
        answer.config.max_batch_size = 0 if request.name == "tf" else 2
        return answer

    def ModelInfer(self, request, context):  # noqa: N802
        context.send_initial_metadata((("x-fleet-server", "s1"),))
        raw = {t.name: client.decode("INT32", data) for t, data in zip(request.inputs, request.raw_input_contents, strict=True)}
        count = len(raw["input_ids"]) // 384
        self.rows.append(count)
        parts = [[raw[n][i * 384 : (i + 1) * 384] for n in ("input_ids", "segment_ids", "input_mask")] for i in range(count)]
        said = [self.squad.logits(*part) for part in parts]
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1")
        if request.model_name == "tf":
            for index, name in enumerate(("start_logits", "end_logits")):
                answer.outputs.add(name=name, datatype="FP32", shape=[384])
                answer.raw_output_contents.append(client.encode("FP32", [pair[index] for pair in said[0]]))
        else:
            answer.outputs.add(name="cls_squad_logits", datatype="FP32", shape=[count, 384, 2, 1, 1])
            answer.raw_output_contents.append(client.encode("FP32", [n for row in said for pair in row for n in pair]))
        return answer


@pytest.fixture(scope="module")
def server(squad):
    servicer = Servicer(squad)
    made = grpc.server(futures.ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, made)
    servicer.url = f"127.0.0.1:{made.add_insecure_port('127.0.0.1:0')}"
    made.start()
    yield servicer
    made.stop(0).wait()


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(MODEL / "vocab.txt")


def answer_to(server, vocabulary, question: str, context: str, model: str = "bert"):
    server.rows.clear()
    with client.Client(server.url) as channel:
        return ask(channel, model, vocabulary, question, context)


@pytest.mark.parametrize("model", ["bert", "tf"])
def test_the_guides_question(server, vocabulary, model) -> None:
    answer = answer_to(server, vocabulary, GUIDE_QUESTION, GUIDE_CONTEXT, model)
    assert answer.text == '"@" for "a," "1" for "l"'
    assert set(answer.servers) == {"s1"}


def test_a_long_text_goes_out_in_windows_and_its_end_is_found(server, vocabulary) -> None:
    context = FILLER * 30 + "The old lighthouse was built by Maria Keller in 1887. " + FILLER * 2
    answer = answer_to(server, vocabulary, "Who built the lighthouse?", context)
    assert answer.text == "Maria Keller"
    assert answer.windows > 5
    assert server.rows == [2] * (answer.windows // 2) + [1] * (answer.windows % 2)
    assert answer_to(server, vocabulary, "Who built the lighthouse?", context, "tf").text == "Maria Keller"
    assert server.rows == [1] * answer.windows


def test_pairs_that_it_was_not_written_for(server, vocabulary) -> None:
    pairs = json.loads((ROOT / "tests" / "unit" / "lab" / "qa_pairs.json").read_text(encoding="utf-8"))
    right = [p for p in pairs if answer_to(server, vocabulary, p["question"], p["context"]).text in p["answers"]]
    assert len(right) >= 7, [p["question"] for p in right]


def test_no_text_no_answer(server, vocabulary) -> None:
    assert answer_to(server, vocabulary, "Who?", "").text == ""


def test_another_model_is_named_with_its_tensors(server, vocabulary) -> None:
    with pytest.raises(UsageError, match=r"model 'other' \(pixels → cls_squad_logits\) is no BERT"):
        answer_to(server, vocabulary, "Who?", "He.", "other")


def test_a_vocabulary_says_whether_it_is_cased(vocabulary, tmp_path) -> None:
    assert vocabulary.cased
    small = tmp_path / "vocab.txt"
    small.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nüber\nhello\n##s")
    uncased = Vocabulary(small)
    assert not uncased.cased
    tokens = uncased.encode("Hellos, HELLO")
    assert tokens.ids == [5, 6, 1, 5]
    assert [("Hellos, HELLO")[first:end] for first, end in tokens.places] == ["Hello", "s", ",", "HELLO"]
    small.write_text("just\nwords\n")
    with pytest.raises(UsageError, match=r"lacks \[PAD\], \[UNK\], \[CLS\], \[SEP\]"):
        Vocabulary(small)


def test_the_command(server) -> None:
    arguments = ["ask", "--url", server.url, "--model", "bert", "-n", "2"]
    done = CliRunner().invoke(main, [*arguments, "--vocab", str(MODEL / "vocab.txt"), "--json"])
    result = json.loads(done.stdout)
    assert [row["answer"] for row in result["answers"]] == ['"@" for "a," "1" for "l"'] * 2
    assert result["per_server"] == {"s1": 2}
    without = CliRunner().invoke(main, arguments)
    assert without.exit_code == 2
    assert "--vocab" in without.stderr
