from __future__ import annotations

import pytest

from fleet.domain.endpoint import Endpoint
from fleet.errors import ConnectError


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("vc.example", ("vc.example", 443)),
        ("https://vc.example/", ("vc.example", 443)),
        ("https://vc.example:8443/sdk", ("vc.example", 8443)),
        ("vc.example:9443", ("vc.example", 9443)),
        ("10.0.0.1", ("10.0.0.1", 443)),
        ("[2001:db8::1]:444", ("2001:db8::1", 444)),
        ("[2001:db8::1]", ("2001:db8::1", 443)),
        ("2001:db8::1", ("2001:db8::1", 443)),
        (" vc.example ", ("vc.example", 443)),
    ],
)
def test_the_host_in_every_spelling(host, address):
    assert Endpoint(host).address() == address


@pytest.mark.parametrize("host", ["", "https://", "a:b:c", "vc.example:port"])
def test_no_host(host):
    with pytest.raises(ConnectError, match="is not a name or address"):
        Endpoint(host).address()
