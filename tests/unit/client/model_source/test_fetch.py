"""Archives by URL, against a real HTTP server on loopback (and through one, as a proxy)."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleet.client.model_source.fetch import sha256_of, shown
from fleet.client.model_source.source import Source
from fleet.errors import GuestError, UsageError

SECRET = "Bearer marked-secret"


def archive(*names: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
    return made.getvalue()


GOOD = archive("qa/config.pbtxt", "qa/1/model.onnx", "qa/2/model.onnx")


class Server:
    """Serves GOOD at /models.tar.gz; /short breaks off, /secret wants the header, /to-N redirects to server N."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.others: list[Server] = []
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mine.asked.append((self.path, self.headers.get("Authorization")))
                path = self.path.split("?")[0]
                if path.startswith("/to-"):
                    self.send_response(302)
                    self.send_header("Location", mine.others[int(path[4:])].url("/models.tar.gz"))
                    self.end_headers()
                    return
                if path == "/secret" and self.headers.get("Authorization") != SECRET:
                    self.send_error(401)
                    return
                body = GOOD if path != "/other" else archive("qa/1/other")
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if path == "/short" else body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"


@pytest.fixture
def servers():
    made = [Server(), Server()]
    made[0].others = made
    yield made
    for server in made:
        server.server.shutdown()
        server.server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def checksum(content: bytes = GOOD) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_an_archive_is_fetched_once_for_all(servers, cache) -> None:
    with ThreadPoolExecutor(6) as pool:
        urls = [servers[0].url("/models.tar.gz?signature=x")] * 6
        found = list(pool.map(lambda url: sorted(Source(url, cache, digest=checksum()).items()), urls))
    assert found == [["qa/1", "qa/2", "qa/config.pbtxt"]] * 6
    assert len(servers[0].asked) == 1
    Source("http://127.0.0.1:9/gone", cache, digest=checksum())  # known by its checksum, whoever offers it
    assert not [path for path in cache.iterdir() if path.name.startswith("making")]


def test_what_the_cache_holds_excuses_no_wrong_checksum_and_no_password(servers, cache) -> None:
    url = servers[0].url("/models.tar.gz")
    Source(url, cache, digest=checksum())
    mistyped = checksum()[:-1] + ("0" if checksum()[-1] != "0" else "1")
    with pytest.raises(UsageError, match=f"which is not what model_repository_checksum says .{mistyped}"):
        Source(url, cache, digest=mistyped)
    with pytest.raises(UsageError, match="must not hold a password") as refused:
        Source(url.replace("127", "me:marked@127"), cache, digest=checksum())
    assert "marked" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/short", r"cannot be fetched: it ended after \d+ of \d+ bytes"),
        ("/other", "has sha256:[0-9a-f]{64}, which is not what model_repository_checksum says"),
        ("/secret", "answered HTTP 401 .*model_repository_headers"),
    ],
)
def test_what_is_not_the_archive_leaves_nothing(servers, cache, path, words) -> None:
    with pytest.raises((GuestError, UsageError), match=words):
        Source(servers[0].url(path), cache, digest=checksum())
    assert [entry.name for entry in cache.iterdir() if entry.suffix != ".lock"] == []
    Source(servers[0].url("/models.tar.gz"), cache, digest=checksum())


def test_an_archive_that_is_right_and_no_archive(servers, cache, monkeypatch) -> None:
    cut = GOOD[: len(GOOD) // 2]
    monkeypatch.setitem(globals(), "GOOD", cut)
    with pytest.raises(UsageError, match="cannot be unpacked"):
        Source(servers[0].url("/models.tar.gz"), cache, digest=checksum(cut))
    assert [entry.name for entry in cache.iterdir() if entry.suffix != ".lock"] == []


def test_a_login_goes_to_its_own_server_only(servers, cache) -> None:
    with pytest.raises(GuestError):
        Source(servers[0].url("/secret"), cache, digest=checksum())
    headers = {"Authorization": SECRET}
    Source(servers[0].url("/to-1"), cache, digest=checksum(), headers=headers)
    assert servers[0].asked[-1] == ("/to-1", SECRET)
    assert servers[1].asked == [("/models.tar.gz", None)]


def test_a_login_survives_a_redirect_on_its_own_server(servers, cache) -> None:
    Source(servers[0].url("/to-0"), cache, digest=checksum(), headers={"authorization": SECRET})
    assert servers[0].asked == [("/to-0", SECRET), ("/models.tar.gz", SECRET)]


def test_a_proxy_of_the_environment_is_used(servers, cache, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", servers[1].url(""))
    Source("http://models.invalid/secret", cache, digest=checksum(), headers={"Authorization": SECRET})
    assert servers[1].asked == [("http://models.invalid/secret", SECRET)]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UsageError):
        Source(servers[0].url("/other"), cache, digest="sha256:" + "0" * 64)
    assert len(servers[0].asked) == 1


def test_what_a_url_must_have(cache) -> None:
    with pytest.raises(UsageError, match="need model_repository_checksum"):
        Source("https://models.invalid/a.tar", cache)
    with pytest.raises(UsageError, match="must not hold a password"):
        Source("https://user:secret@models.invalid/a.tar", cache, digest=checksum())
    for wrong in ("md5:" + "0" * 32, "0" * 64, "sha256:xyz"):
        with pytest.raises(UsageError, match="model_repository_checksum is"):
            sha256_of(wrong)
    assert shown("https://models.invalid/a.tar?X-Signature=abc") == "https://models.invalid/a.tar"


def test_nobody_there(cache) -> None:
    with pytest.raises(GuestError, match=r"http://127\.0\.0\.1:9/a cannot be fetched: .*refused"):
        Source("http://127.0.0.1:9/a", cache, digest=checksum())


def test_a_local_archive_is_checked_when_it_has_a_checksum(tmp_path, cache) -> None:
    (tmp_path / "models.tar.gz").write_bytes(GOOD)
    Source(str(tmp_path / "models.tar.gz"), cache, digest=checksum())
    with pytest.raises(UsageError, match="not what model_repository_checksum says"):
        Source(str(tmp_path / "models.tar.gz"), cache, digest="sha256:" + "1" * 64)


def test_what_nobody_used_for_a_month_goes(servers, cache) -> None:
    import os

    Source(servers[0].url("/models.tar.gz"), cache, digest=checksum())
    (old,) = cache.glob("unpacked-*[0-9a-f]")
    os.utime(old, (0, 0))
    Source(servers[0].url("/other"), cache, digest=checksum(archive("qa/1/other")))
    assert not old.exists()
