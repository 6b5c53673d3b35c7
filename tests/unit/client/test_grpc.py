from __future__ import annotations

from concurrent import futures

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2, service_pb2_grpc

from fleet.client import grpc as client
from fleet.errors import GuestError, UsageError


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A model that answers with the last word of the context, behind something that names the server."""

    calls = 0

    def ModelMetadata(self, request, context):  # noqa: N802
        answer = service_pb2.ModelMetadataResponse(name=request.name)
        if request.name == "qa":
            answer.inputs.add(name="QUESTION", datatype="BYTES", shape=[1])
            answer.inputs.add(name="CONTEXT", datatype="BYTES", shape=[-1])
            answer.outputs.add(name="SCORE", datatype="FP32", shape=[1])
            answer.outputs.add(name="ANSWER", datatype="BYTES", shape=[1])
        else:
            answer.inputs.add(name="INPUT0", datatype="FP32", shape=[-1])
        return answer

    def ModelInfer(self, request, context):  # noqa: N802
        if request.model_name == "broken":
            context.abort(grpc.StatusCode.INTERNAL, "the stub died")
        Servicer.calls += 1
        context.send_initial_metadata((("x-fleet-server", f"s{Servicer.calls % 2}"),))
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1")
        answer.outputs.add(name="SCORE", datatype="FP32", shape=[1])
        answer.raw_output_contents.append(client.encode("FP32", [0.5]))
        answer.outputs.add(name="ANSWER", datatype="BYTES", shape=[1])
        words = client.decode("BYTES", request.raw_input_contents[-1])[0].split()
        answer.raw_output_contents.append(client.encode("BYTES", [words[-1]]))
        return answer


@pytest.fixture(scope="module")
def url():
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_ask_says_what_and_who(url) -> None:
    answers = client.ask(url, "what?", "it is größer", count=4)
    assert {a.text for a in answers} == {"größer"}
    assert {a.server for a in answers} == {"s0", "s1"}
    assert all(a.seconds > 0 for a in answers)


def test_a_model_that_takes_no_question(url) -> None:
    with pytest.raises(UsageError, match="INPUT0 FP32"):
        client.ask(url, "what?", "text", model="echo")


def test_infer_gives_json_and_the_server(url) -> None:
    request = {"inputs": [{"name": "X", "datatype": "BYTES", "shape": [2], "data": ["a", "b c"]}]}
    answer = client.infer(url, "any", request)
    assert answer["outputs"][1] == {"name": "ANSWER", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    assert answer["outputs"][0]["data"] == [0.5]
    assert answer["server"] in ("s0", "s1")


def test_tritons_words_are_kept(url) -> None:
    with pytest.raises(GuestError, match=r"model 'broken' at .* failed with INTERNAL: the stub died"):
        client.infer(url, "broken", {"inputs": []})


def test_nobody_there() -> None:
    with pytest.raises(GuestError, match="UNAVAILABLE"):
        client.infer("127.0.0.1:9", "qa", {"inputs": []}, timeout=5)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        ({"name": "X", "datatype": "FP32", "shape": [3], "data": [1, 2]}, "2 elements, its shape"),
        ({"name": "X", "datatype": "FP99", "shape": [1], "data": [1]}, "not 'FP99'"),
        ({"name": "X", "datatype": "UINT8", "shape": [1], "data": [-1]}, "UINT8 cannot hold"),
        ({"name": "X", "datatype": "FP32", "shape": [1], "data": ["a"]}, "FP32 cannot hold"),
        ({"name": "X", "datatype": "FP32", "shape": [1]}, "lacks data"),
    ],
)
def test_a_wrong_request_is_one_sentence(tensor, words) -> None:
    with pytest.raises(UsageError, match=words):
        client.to_message("m", {"inputs": [tensor]})
    with pytest.raises(UsageError, match="An inference request is"):
        client.to_message("m", {"outputs": []})


def test_nested_data_is_row_by_row() -> None:
    tensor = {"name": "X", "datatype": "INT32", "shape": [2, 2], "data": [[1, 2], [3, 4]]}
    assert client.decode("INT32", client.to_message("m", {"inputs": [tensor]}).raw_input_contents[0]) == [1, 2, 3, 4]


@given(st.lists(st.text()))
def test_strings_survive(texts) -> None:
    assert client.decode("BYTES", client.encode("BYTES", texts)) == texts


@pytest.mark.parametrize("datatype", sorted(client.FIELDS))
def test_numbers_survive(datatype) -> None:
    data = [True, False] if datatype == "BOOL" else [0, 1, 100]
    assert client.decode(datatype, client.encode(datatype, data)) == data
