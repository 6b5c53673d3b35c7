from __future__ import annotations

import ssl
import stat
import subprocess

from fleet.lab.keys import ensure_password, ensure_ssh_key, ensure_tls


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_the_owners_and_made_once(tmp_path):
    files = [tmp_path / name for name in ("ca.pem", "server.pem", "server.key")]
    for _ in range(2):
        ensure_password(tmp_path / "password")
        ensure_ssh_key(tmp_path / "id")
        ensure_tls(*files)
        contents = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == contents
    assert [mode(tmp_path / name) for name in ("password", "id", "server.key")] == [0o600] * 3


def test_the_ssh_key_is_one_that_openssh_reads(tmp_path):
    ensure_ssh_key(tmp_path / "id")
    public = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "id"], capture_output=True, check=True, text=True).stdout
    assert (tmp_path / "id.pub").read_text().startswith(public.strip())


def test_the_certificate_is_valid_under_its_ca_for_localhost(tmp_path):
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "server.pem", "server.key"))
    ensure_tls(ca, certificate, key)
    client = ssl.create_default_context(cafile=str(ca))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    for name in ("localhost", "127.0.0.1"):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = client.wrap_bio(to_client, to_server, server_hostname=name)
        theirs = server.wrap_bio(to_server, to_client, server_side=True)
        done = set()
        for _ in range(8):
            for side in (ours, theirs):
                try:
                    side.do_handshake()
                    done.add(side)
                except ssl.SSLWantReadError:
                    pass
        assert done == {ours, theirs}
