"""The configuration that the role renders, judged by HAProxy itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml

ROLE = Path(__file__).resolve().parents[4] / "roles" / "haproxy"
HAPROXY = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
SERVERS = [{"name": "triton-01", "address": "10.0.0.11"}, {"name": "triton-02", "address": "fd00::12"}]


def values(**changed) -> dict:
    found = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text()) | changed
    found |= {
        "__haproxy_lines": found["haproxy_servers"],
        "__haproxy_mark": "triton-fleet x",
        "__haproxy_crt": found["haproxy_tls_certificate"],
    }
    internal = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    for name in ("socket", "state", "auth", "check"):
        found.setdefault(f"__haproxy_{name}", text(internal[f"__haproxy_{name}"], found))
    found["__haproxy_backends"] = [{k: text(v, found) for k, v in b.items()} for b in internal["__haproxy_backends"]]
    return found


def text(template: str, known: dict) -> str:
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render(known).strip()  # noqa: S701  no HTML


def render(**changed) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701  no HTML
    environment.filters["bool"] = bool
    return environment.from_string((ROLE / "templates" / "haproxy.cfg.j2").read_text()).render(values(**changed))


@pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy on this machine: apt-get install haproxy")
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"haproxy_servers": SERVERS},
        {"haproxy_servers": SERVERS, "haproxy_balance": "leastconn", "haproxy_server_maxconn": 4, "haproxy_maxconn": 100},
        {"haproxy_log_requests": True, "haproxy_retry_on": "conn-failure", "haproxy_health_path": "/v2/models/qa/ready"},
        {"haproxy_tls_certificate": "PEM", "haproxy_servers": SERVERS},
    ],
)
def test_haproxy_accepts_it(changed: dict, tmp_path: Path) -> None:
    if changed.get("haproxy_tls_certificate"):
        pem = tmp_path / "both.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x"]
        subprocess.run([*command, "-keyout", pem, "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
        pem.write_text(pem.read_text() + (tmp_path / "cert.pem").read_text())
        changed = changed | {"haproxy_tls_certificate": str(pem)}
    (tmp_path / "auth").write_text("Basic eDp5\n")
    (tmp_path / "state").write_text("1\n")
    changed = changed | {"__haproxy_auth": str(tmp_path / "auth"), "__haproxy_state": str(tmp_path / "state")}
    (tmp_path / "haproxy.cfg").write_text(render(**changed))
    done = subprocess.run([HAPROXY, "-c", "-f", tmp_path / "haproxy.cfg"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_a_line_of_the_file_says_what_add_server_receives() -> None:
    lines = [line.split(None, 3) for line in render(haproxy_servers=SERVERS).splitlines() if line.startswith("    server triton")]
    options = {b["name"]: b["options"] for b in values()["__haproxy_backends"]}
    assert [(name, where) for _, name, where, _ in lines] == [
        ("triton-01", "10.0.0.11:8001"),
        ("triton-02", "ipv6@[fd00::12]:8001"),
        ("triton-01", "10.0.0.11:8000"),
        ("triton-02", "ipv6@[fd00::12]:8000"),
    ]
    assert {rest for *_, rest in lines} == set(options.values())
    assert "proto h2 check port 8000 check-proto h1" in options["triton_grpc"]


def test_the_list_of_servers_is_the_only_difference_that_servers_make() -> None:
    kept = [line for line in render(haproxy_servers=SERVERS).splitlines() if not line.startswith("    server triton")]
    assert kept == render().splitlines()


def test_no_administrative_port_and_no_secret_in_the_file() -> None:
    file = render(haproxy_stats_password="geheim")
    assert "geheim" not in file
    assert "stats socket /run/haproxy/admin.sock" in file
    assert "stats socket ipv4" not in file
    assert "stats admin" not in file
