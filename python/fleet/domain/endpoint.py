"""Where a vCenter is, and the account."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from dataclasses import dataclass, field

from fleet.errors import ConnectError


@dataclass(frozen=True)
class Endpoint:
    """Where a vCenter is, and the account.

    Attributes:
        host: name or address; a scheme, a path or ``:port`` in it is understood.
        port: TCP port, unless ``host`` names one.
        username: for example ``fleet@vsphere.local``.
        password: never shown by ``repr``.
        ca_file: PEM file of the CAs that sign vCenter's certificate; ``None`` takes the system's.
        validate_certs: ``False`` accepts any certificate.
    """

    host: str
    port: int = 443
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str | None = None
    validate_certs: bool = True

    def address(self) -> tuple[str, int]:
        """Host without scheme, path and brackets, and the port.

        Raises:
            ConnectError: there is no host, or its port is no number.
        """
        name = self.host.strip().rpartition("://")[2].partition("/")[0]
        with contextlib.suppress(ValueError):
            return str(ipaddress.IPv6Address(name)), self.port
        match = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d+))?", name)
        if not match:
            raise ConnectError(f"vCenter's host {self.host!r} is not a name or address.")
        return match["six"] or match["name"], int(match["port"] or self.port)
