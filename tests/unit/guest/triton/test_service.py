from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml

from fleet.guest.triton.service import Running, complaints, parse_container, parse_properties, reasons

ROLE = Path(__file__).resolve().parents[4] / "roles" / "triton_server"
RUNNING = Running(id="c1", image="sha256:i1", script="s1", models="m1")
SAME = {"active": True, "image": "sha256:i1", "script": "s1", "models": "m1"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, []),
        ({"script": "s2"}, ["startup.sh changed"]),
        ({"image": "sha256:i2"}, ["the image changed"]),
        ({"image": ""}, []),  # check mode, before the pull
        ({"models": "m2"}, ["the models changed"]),
        ({"models": None}, []),
        ({"unit_changed": True}, ["the unit changed"]),
        ({"active": False}, ["it does not run"]),
        ({"script": "s2", "models": "m2"}, ["startup.sh changed", "the models changed"]),
    ],
)
def test_reasons_to_restart(changed: dict, why: list[str]) -> None:
    assert reasons(RUNNING, **(SAME | changed)) == why


def test_a_container_that_does_not_run() -> None:
    assert reasons(None, **SAME) == ["it does not run"]
    assert parse_container("[]\n") is None
    assert parse_container("Error: No such container") is None
    assert parse_container(json.dumps([{"State": {"Running": False}}])) is None


def test_a_running_container() -> None:
    labels = {"triton-fleet.script": "s1", "triton-fleet.models": "m1"}
    text = json.dumps([{"Id": "c1", "Image": "sha256:i1", "State": {"Running": True}, "Config": {"Labels": labels}}])
    assert parse_container(text) == RUNNING
    assert parse_container(json.dumps([{"State": {"Running": True}, "Config": {"Labels": None}}])).script == ""


def test_properties() -> None:
    assert parse_properties("ActiveState=active\nExecStart={ path=/x ; a=b }\n\n") == {
        "ActiveState": "active",
        "ExecStart": "{ path=/x ; a=b }",
    }


def test_complaints_are_tritons_own_errors_first() -> None:
    error = """E1124 00:03:20.1 1 model_lifecycle.cc:642] "failed to load 'qa' version 1: Internal:\\n\\nAt:" """
    other = "docker: Error response from daemon: no such image"
    warning = """W1124 00:03:18.1 1 metrics.cc:798] "DCGM unable to start" """
    rest = """I1124 00:03:17.1 1 server.cc:604] "started"\ntriton.service: Main process exited, status=1/FAILURE"""
    assert complaints("\n".join([error, other, warning, rest, error.replace("00:03", "00:04")])) == (
        "failed to load 'qa' version 1: Internal: At:"
    )
    assert complaints(f"{warning}\n{other}\n{rest}") == other
    assert complaints(f"{warning}\n{rest}") == "DCGM unable to start"
    assert complaints(rest) == ""


def values(**changed) -> dict:
    found = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text()) | {"triton_server_image": "registry/triton:1"}
    state = "/home/nvidia/.triton_models.fleet"
    internal = {
        "__triton_server_digest": f"{state}/digest",
        "__triton_server_live": f"{state}/live",
        "__triton_server_publish": "",
    }
    return found | internal | changed


def script(**changed) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701  no HTML
    environment.filters["quote"] = __import__("shlex").quote
    return environment.from_string((ROLE / "templates" / "startup.sh.j2").read_text()).render(values(**changed))


def run(text: str, tmp_path: Path) -> list[list[str]]:
    """Run the script with a docker that writes down what it is asked."""
    log = tmp_path / "log"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/bash\nprintf "%s\\0" "$@" >> {log}\nprintf "\\n" >> {log}\n')
    docker.chmod(0o755)
    path = tmp_path / "startup.sh"
    path.write_text(text)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "INVOCATION_ID": "x"}
    subprocess.run(["bash", path], check=True, env=environment)
    return [line.rstrip("\0").split("\0") for line in log.read_text().splitlines()]


def test_the_script_runs_the_guides_container_and_removes_only_its_own(tmp_path: Path) -> None:
    removal, started = run(script(), tmp_path)
    assert removal == ["rm", "--force", "triton_server_cont"]
    assert started[:4] == ["run", "--rm", "--name", "triton_server_cont"]
    text = " ".join(started)
    for part in (
        "--gpus all",
        "--shm-size=1g --ulimit memlock=-1 --ulimit stack=67108864",
        "-p 8000:8000 -p 8001:8001 -p 8002:8002",
        "-v /home/nvidia/triton_models:/models:ro",
        "registry/triton:1 tritonserver --model-repository=/models",
    ):
        assert part in text
    assert text.endswith("--model-control-mode=explicit --strict-readiness=false --load-model=*")
    assert "--strict-model-config" not in text


@pytest.mark.parametrize(("mode", "live"), [("none", False), ("poll", False), ("explicit", True)])
def test_only_in_explicit_mode_the_repository_stays_live(tmp_path: Path, mode: str, live: bool) -> None:  # noqa: FBT001
    (tmp_path / "live").touch()
    started = run(script(triton_server_model_control=mode, __triton_server_live=str(tmp_path / "live")), tmp_path)[-1]
    assert (tmp_path / "live").exists() == live
    assert ("--model-control-mode" in " ".join(started)) == (mode != "none")


def test_the_script_keeps_odd_arguments_whole(tmp_path: Path) -> None:
    text = script(
        triton_server_gpus="",
        triton_server_ulimits=[],
        triton_server_bind="10.0.0.7",
        triton_server__publish="",
        __triton_server_publish="10.0.0.7:",
        triton_server_environment={"GREETING": "it's $HOME"},
        triton_server_docker_args=["--label=a b"],
        triton_server_args=["--backend-config=python,x=`id`"],
        triton_server_model_control="explicit",
        triton_server_load_models=["qa", "*"],
    )
    started = run(text, tmp_path)[1]
    assert "--gpus" not in started
    assert "--ulimit" not in started
    assert started[started.index("--env") + 1] == "GREETING=it's $HOME"
    assert "--label=a b" in started
    assert "10.0.0.7:8001:8001" in started
    tail = started[started.index("tritonserver") :]
    assert tail[1:] == [
        "--model-repository=/models",
        "--model-control-mode=explicit",
        "--strict-readiness=false",
        "--load-model=qa",
        "--load-model=*",
        "--backend-config=python,x=`id`",
    ]
