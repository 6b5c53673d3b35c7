"""SSH host keys of members: the one form that is stored and accepted. Pure.

A key comes from outside: from the SSH server of a guest, or from a VM's extraConfig, which anybody with rights on that VM can
write. It becomes a part of an ssh command line on the controller, so nothing but this form passes.
"""

from __future__ import annotations

import re

KEY_TYPE = "ed25519"
# RFC 8709: the algorithm's name and 32 bytes, each with its length: 51 bytes, 68 characters of base64 without padding.
_FORM = re.compile(r"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}")


def parse_host_key(text: str) -> str | None:
    """The key, if the text is one public key of type ed25519 and nothing else; else ``None``."""
    return text if _FORM.fullmatch(text) else None
