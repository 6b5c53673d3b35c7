"""The secret of the statistics page of a fleet's balancers: one that any of them has, else a new one. Pure but for chance."""

from __future__ import annotations

import base64
import re
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LENGTH: Final = 24
_ALPHABET: Final = string.ascii_letters + string.digits
_HEADER: Final = re.compile(r"^Basic (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SecretFile:
    """What came of reading ``stats.auth`` of a balancer that is not part of the play."""

    content: str | None = field(default=None, repr=False)  # base64 of the file; None: it could not be read
    problem: str = ""  # why it could not be read
    serves: bool = False  # vCenter calls the balancer ready: it has a secret


@dataclass(frozen=True, slots=True)
class StatsSecret:
    """The secret; empty when balancers in ``unreached`` have one and could not be reached."""

    password: str = field(repr=False)
    unreached: tuple[str, ...] = ()


def new_secret() -> str:
    """Letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))


def choose(
    given: str,
    known: Iterable[str],
    stored: Iterable[str],
    elsewhere: Mapping[str, SecretFile],
    *,
    make: Callable[[], str] = new_secret,
) -> StatsSecret:
    """Choose the secret for all balancers of a play.

    Args:
        given: the site's own (``haproxy_stats_password``); it wins.
        known: what this run chose before, for each balancer; empty strings do not count.
        stored: base64 of ``stats.auth`` for each balancer of the play; empty: it has none.
        elsewhere: the fleet's balancers outside the play, by name.
        make: makes a new one.
    """
    unreached = tuple(
        sorted(n for n, one in elsewhere.items() if one.serves and one.content is None and "not found" not in one.problem)
    )
    read = map(password_in, [*stored, *(one.content or "" for one in elsewhere.values())])
    kept = given or next(filter(None, [*known, *read]), "")
    return StatsSecret(kept or ("" if unreached else make()), unreached)


def password_in(content: str) -> str:
    """The password in a ``stats.auth``.

    Args:
        content: base64 of the file, as a guest sent it.

    Returns:
        Empty when the file holds none, or something else.
    """
    try:
        header = _HEADER.search(base64.b64decode(content).decode())
        return base64.b64decode(header[1]).decode().partition(":")[2] if header else ""
    except ValueError:  # neither base64 nor text
        return ""
