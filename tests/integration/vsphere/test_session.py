from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.domain.endpoint import Endpoint
from fleet.errors import ConnectError
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def refused(endpoint: Endpoint, timeout: float = 5.0) -> str:
    with pytest.raises(ConnectError) as caught:
        connect(endpoint, timeout=timeout)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 7
    return str(caught.value)


def test_a_session_knows_its_vcenter(lab):
    with lab.connect() as session:
        assert session.api_version == "8.0.3.0"
        assert session.username == "administrator@vsphere.local"
        assert len(session.instance_uuid) == 36
        now = session.now()
        assert now.utcoffset() is not None
        assert abs((now - dt.datetime.now(dt.UTC)).total_seconds()) < 60


@pytest.mark.parametrize("spelling", ["https://{}", "https://{}/", "https://{}/sdk", "{}:{port}", " {} "])
def test_a_scheme_a_path_and_a_port_in_the_host_are_understood(lab, spelling):
    host = spelling.format(lab.endpoint.host, port=lab.endpoint.port)
    with lab.connect(host=host) as session:
        assert session.api_version


def test_a_wrong_password(lab):
    message = refused(Endpoint(**{**vars(lab.endpoint), "password": "wrong"}))
    assert "refused the login of administrator@vsphere.local: wrong user name or password" in message


def test_nobody_listens(lab):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "connection refused" in refused(Endpoint(**{**vars(lab.endpoint), "port": port}))


def test_an_unknown_name(lab):
    assert "does not resolve" in refused(Endpoint(**{**vars(lab.endpoint), "host": "vcenter.invalid"}))


def test_a_host_that_never_answers(lab):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = Endpoint(**{**vars(lab.endpoint), "port": silent.getsockname()[1]})
        assert "did not answer within 0.5 s" in refused(endpoint, timeout=0.5)


def test_a_ca_that_did_not_sign(lab):
    message = refused(Endpoint(**{**vars(lab.endpoint), "ca_file": None}))
    assert "is not trusted by the system's CAs" in message
    assert "vcenter.ca_file" in message


def test_a_ca_file_that_is_missing(lab):
    assert "The CA file nowhere.pem cannot be used" in refused(Endpoint(**{**vars(lab.endpoint), "ca_file": "nowhere.pem"}))


def test_verification_can_be_switched_off(lab):
    with lab.connect(ca_file=None, validate_certs=False) as session:
        assert session.api_version


def test_an_expired_certificate(expired):
    assert "has expired" in refused(expired)


def test_something_else_answers(web_server):
    assert "is not a vCenter (HTTP 404" in refused(web_server("404 Not Found"))
    assert "a vCenter that is starting answers so too" in refused(web_server("503 Service Unavailable"))


def test_no_tls(plain_server):
    assert "does not speak TLS" in refused(plain_server)


def test_the_password_is_not_shown(lab):
    assert lab.endpoint.password not in repr(lab.endpoint)


def test_a_lost_session_logs_in_again(lab):
    with lab.connect() as session:
        session.now()
        assert lab.control.end_sessions() > 0
        assert session.now()


def test_leaving_logs_out(lab):
    mark = lab.control.last()
    with lab.connect():
        pass
    assert [call.method for call in lab.control.calls(mark)][-2:] == ["Login", "Logout"]


@pytest.fixture
def expired(tmp_path: Path) -> Iterator[Endpoint]:
    now = dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now - dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "expired.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    with served(pem, b"") as port:
        yield Endpoint("127.0.0.1", port, "user", "password", str(pem))


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[Callable[[str], Endpoint]]:
    from fleet.lab.keys import ensure_tls

    ca, certificate, key = (tmp_path / part for part in ("ca.pem", "cert.pem", "key.pem"))
    ensure_tls(ca, certificate, key)
    pair = tmp_path / "pair.pem"
    pair.write_bytes(certificate.read_bytes() + key.read_bytes())
    open_servers = []

    def start(status: str) -> Endpoint:
        server = served(pair, f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        open_servers.append(server)
        return Endpoint("127.0.0.1", server.__enter__(), "user", "password", str(ca))

    yield start
    for server in open_servers:
        server.__exit__()


@pytest.fixture
def plain_server() -> Iterator[Endpoint]:
    with served(None, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as port:
        yield Endpoint("127.0.0.1", port, "user", "password", None)


class served:  # noqa: N801
    """Answers every connection to a port with the same bytes, by TLS if there is a certificate."""

    def __init__(self, pem: Path | None, answer: bytes) -> None:
        self.answer = answer
        self.context = None
        if pem:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pem)
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.thread = threading.Thread(target=self.loop)

    def __enter__(self) -> int:
        self.thread.start()
        return self.socket.getsockname()[1]

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()

    def loop(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(client, server_side=True) if self.context else client as connection:
                    connection.recv(65536)
                    connection.sendall(self.answer)
            except OSError:
                client.close()
