"""An archive of models from an HTTP(S) server, verified. The controller's side."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, TYPE_CHECKING, Any

from fleet.errors import GuestError, UsageError
from fleet.guest.models.manifest import CHUNK, checksum

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STALLED = 60.0  # seconds without a byte


def is_url(source: str) -> bool:
    """Whether a source is fetched, not read."""
    return source.startswith(("http://", "https://"))


def shown(source: str) -> str:
    """A source for people and logs: a URL without its query, where signatures are."""
    return source.split("?", 1)[0].split("#", 1)[0] if is_url(source) else source


def sha256_of(text: str) -> str:
    """The hexadecimal digits of ``sha256:…``.

    Raises:
        UsageError: it is something else.
    """
    match = re.fullmatch(r"sha256:([0-9a-f]{64})", text.strip().lower())
    if not match:
        raise UsageError(
            f"model_repository_checksum is 'sha256:' and 64 hexadecimal digits (sha256sum FILE prints them), not '{text}'"
        )
    return match.group(1)


def require_no_password(url: str) -> None:
    """Refuse a URL with a user name.

    Raises:
        UsageError: it has one.
    """
    if urllib.parse.urlsplit(url).username is not None:
        raise UsageError("a URL in model_repository_source must not hold a password, it is logged: use model_repository_headers")


def fetch(url: str, digest: str, target: Path, headers: Mapping[str, str] | None = None) -> None:
    """Download ``url`` to ``target`` and verify its sha256. A proxy of the environment (``https_proxy``, ``no_proxy``) is used.

    ``headers`` go to the server of ``url`` alone, not where it redirects to.

    Raises:
        UsageError: the content has another checksum.
        GuestError: no answer, an error, or an end before the end.
    """
    opener = urllib.request.build_opener(_Redirects(dict(headers or {})))
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310  http or https: is_url
    try:
        with opener.open(request, timeout=STALLED) as answer, target.open("wb") as file:
            _copy(answer, file)
    except urllib.error.HTTPError as error:
        hint = ": does model_repository_headers hold what it requires?" if error.code in (401, 403) else ""
        raise GuestError(f"{shown(url)} answered HTTP {error.code} {error.reason}{hint}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise GuestError(f"{shown(url)} cannot be fetched: {getattr(error, 'reason', None) or error}") from error
    found = checksum(target)
    if found != digest:
        raise UsageError(f"{shown(url)} has sha256:{found}, which is not what model_repository_checksum says (sha256:{digest})")


def _copy(answer: http.client.HTTPResponse, file: IO[bytes]) -> None:
    size = 0
    for block in iter(lambda: answer.read(CHUNK), b""):
        file.write(block)
        size += len(block)
    wanted = answer.headers.get("Content-Length")
    if wanted is not None and int(wanted) != size:
        raise http.client.HTTPException(f"it ended after {size} of {wanted} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, with the secret headers only to the same server, and never from https to http."""

    def __init__(self, secret: Mapping[str, str]) -> None:
        self.secret = {name.lower() for name in secret}

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise urllib.error.URLError(f"it redirects from https to {shown(newurl)}")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            for name in list(following.headers):
                if name.lower() in self.secret:
                    following.remove_header(name)
        return following
