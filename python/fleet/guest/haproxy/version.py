"""Which HAProxy is installed or would be, and whether it can admit servers at run time."""

from __future__ import annotations

import re


def parse_version(text: str) -> str:
    """``2.6.12`` from ``haproxy -v``, ``apt-cache policy`` ("Candidate: …") or a bare version; empty when there is none."""
    found = re.search(r"(?:version|Candidate:|^)\s*(?:\d+:)?(\d+\.\d+(?:\.\d+)?)", text)
    return found.group(1) if found else ""


def number(version: str) -> tuple[int, ...]:
    """A version as something that compares."""
    return tuple(int(part) for part in version.split("."))


def problem(installed: str, candidate: str, minimum: str, package: str) -> str:
    """Why this HAProxy will not do, and what to do; empty when it will. Empty versions: not installed, unknown to apt."""
    version = installed or candidate
    if version and number(version) < number(minimum):
        have = f"HAProxy {version} is installed" if installed else f"apt offers HAProxy {version}"
        return (
            f"{have}, but {minimum} or newer is needed (servers with HTTP/2 and checks at run time): "
            f"use a newer release of the distribution, or an apt source with a newer '{package}'"
        )
    return ""
