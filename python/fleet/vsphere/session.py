"""One login to one vCenter."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from http.client import HTTPSConnection
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fleet.errors import ConnectError
from fleet.vsphere.api import Stub, known_versions, vim, vmodl
from fleet.vsphere.faults import CONNECTION_ERRORS, fault_name, fault_text, reason, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from fleet.domain.endpoint import Endpoint

T = TypeVar("T")

_VERSION = re.compile(r"<version>\s*([^<\s]+)\s*</version>")
_IDLE_SECONDS = 20  # shorter than any proxy's limit: a reused connection must not be a dead one
_READ_ATTEMPTS = 3


class Session:
    """A logged-in session; leaving the ``with`` block logs out.

    A session that vCenter dropped in the middle logs in again once per call.
    """

    def __init__(self, endpoint: Endpoint, stub: Any, *, timeout: float) -> None:
        """Use ``connect``."""
        self._endpoint = endpoint
        self._login_lock = threading.Lock()
        self._constants: dict[Hashable, Any] = {}
        self._logins = 0
        self.stub = stub
        self.timeout = timeout  # seconds without a byte after which a call is given up
        self._instance = vim.ServiceInstance("ServiceInstance", stub)
        self.content: Any = self._instance.RetrieveContent()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def username(self) -> str:
        """Who is logged in."""
        return self._endpoint.username

    @property
    def instance_uuid(self) -> str:
        """VCenter's own identity, part of every member's."""
        return str(self.content.about.instanceUuid)

    @property
    def api_version(self) -> str:
        """The API version that vCenter offers: ``8.0.3.0``."""
        return str(self.content.about.apiVersion)

    def now(self) -> datetime:
        """VCenter's clock."""
        now: datetime = self.read(self._instance.CurrentTime, "read vCenter's clock")
        return now

    def constant(self, key: Hashable, read: Callable[[], T]) -> T:
        """What does not change while a session lives, read once: the datacenters, what hosts offer.

        Args:
            key: names it within this session.
            read: reads it. What it raises is raised, and kept for nobody.
        """
        if key not in self._constants:
            self._constants[key] = read()
        found: T = self._constants[key]
        return found

    def object(self, kind: Any, moid: str) -> Any:
        """The managed object of a type (``vim.VirtualMachine``) and a moid; nothing is read from vCenter."""
        return kind(moid, self.stub)

    def read(self, call: Callable[[], T], tried: str = "read vCenter") -> T:
        """Make a call that changes nothing; it is repeated after a lost session or connection.

        ``call`` must make its views and collectors itself: they belong to the session that may be gone.
        ``tried`` says what is attempted, for the error.

        Raises:
            VSphereError: vCenter refused it.
            ConnectError: vCenter cannot be reached any more.
        """
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                return self.write(call, tried, lost=True)
            except CONNECTION_ERRORS as error:
                if attempt == _READ_ATTEMPTS:
                    raise translate(tried, error) from error
                time.sleep(0.2 * attempt)
        raise AssertionError("unreachable")

    def write(self, call: Callable[[], T], tried: str, *, lost: bool = False) -> T:
        """Make a call that may change something; repeated only when vCenter says that it did nothing (no session).

        Args:
            call: the call.
            tried: what is attempted, for the error.
            lost: let connection errors through as they are.

        Raises:
            VSphereError: vCenter refused it.
            ConnectError: the connection was lost; whether the call had an effect is unknown.
        """
        seen = self._logins
        try:
            try:
                return call()
            except vim.fault.NotAuthenticated:
                self._login_again(seen)
                return call()
        except vmodl.MethodFault as fault:
            raise translate(tried, fault) from fault
        except CONNECTION_ERRORS as error:
            if lost:
                raise
            raise translate(tried, error) from error

    def login(self) -> None:
        """Log in, without any translation of faults."""
        self.content.sessionManager.Login(self._endpoint.username, self._endpoint.password, None)
        self._logins += 1

    def close(self) -> None:
        """Log out; a session that is gone already is no error."""
        with contextlib.suppress(vmodl.MethodFault, *CONNECTION_ERRORS):
            self.content.sessionManager.Logout()
        self.stub.DropConnections()

    def _login_again(self, seen: int) -> None:
        with self._login_lock:
            if self._logins == seen:  # no other thread did it meanwhile
                with contextlib.suppress(vim.fault.InvalidLogin):
                    # A session that is gone makes vCenter refuse with NotAuthenticated again, which says it better.
                    self.login()


def connect(endpoint: Endpoint, *, timeout: float = 30.0) -> Session:
    """Log in to a vCenter.

    Args:
        endpoint: where and who.
        timeout: seconds that any single answer may take, of this and of later calls.

    Raises:
        ConnectError: one sentence that says whether the address, the network, the certificate, the password or a
            permission is the trouble.
    """
    host, port = endpoint.address()
    where = f"vCenter {host}:{port}"
    context = _context(endpoint)
    try:
        version = _negotiate(host, port, context, timeout)
        stub = Stub(
            f"[{host}]" if ":" in host else host,
            port,
            version=version,
            path="/sdk",
            sslContext=context,
            httpConnectionTimeout=timeout,
            connectionPoolTimeout=_IDLE_SECONDS,
        )
    except CONNECTION_ERRORS as error:
        raise ConnectError(_refusal(endpoint, where, timeout, error)) from error
    try:
        session = Session(endpoint, stub, timeout=timeout)
        session.login()
    except (vmodl.MethodFault, *CONNECTION_ERRORS) as error:
        stub.DropConnections()
        raise ConnectError(_refusal(endpoint, where, timeout, error)) from error
    return session


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConnectError(f"The CA file {endpoint.ca_file} cannot be used: {reason(error)}.") from error
    if not endpoint.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _negotiate(host: str, port: int, context: ssl.SSLContext, timeout: float) -> str:
    """The newest API version that both sides know, as pyVmomi names it."""
    connection = HTTPSConnection(host, port, context=context, timeout=timeout)
    try:
        connection.request("GET", "/sdk/vimServiceVersions.xml")
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    offered = set(_VERSION.findall(body))
    if answer.status >= 300 or not offered:  # noqa: PLR2004  any HTTP status but success
        raise ConnectError(
            f"What answers at {host}:{port} is not a vCenter (HTTP {answer.status} to /sdk/vimServiceVersions.xml): "
            "check host and port; a vCenter that is starting answers so too."
        )
    for name, version in known_versions():
        if version in offered:
            return name
    raise ConnectError(f"vCenter {host}:{port} speaks none of the API versions that this pyVmomi knows: update pyvmomi.")


def _refusal(endpoint: Endpoint, where: str, timeout: float, error: BaseException) -> str:
    """Why a connection could not be made, as one sentence with its mend."""
    if isinstance(error, vmodl.MethodFault):
        return _refused_login(endpoint.username, where, error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(endpoint, where, error)
    if isinstance(error, ssl.SSLError):
        return f"{where} does not speak TLS as expected ({error.reason or error}): check host and port."
    if isinstance(error, socket.gaierror):
        return f"{where} cannot be found: the name {endpoint.address()[0]} does not resolve ({error.strerror})."
    if isinstance(error, TimeoutError):
        return f"{where} did not answer within {timeout:g} s: check the address, the network and firewalls."
    return f"{where} cannot be reached: {reason(error)}; check host, port and network."


def _refused_login(user: str, where: str, fault: Exception) -> str:
    text = fault_text(fault) or fault_name(fault)
    if isinstance(fault, vim.fault.InvalidLogin):
        return f"{where} refused the login of {user}: wrong user name or password ({text})."
    if isinstance(fault, vim.fault.NoPermission):
        return f"{where} knows {user} but grants it nothing: give it a role on the inventory ({text})."
    return str(translate(f"{where} refused the login of {user}", fault))


def _untrusted(endpoint: Endpoint, where: str, error: ssl.SSLCertVerificationError) -> str:
    text = error.verify_message or str(error)
    if "expired" in text:
        return f"The certificate of {where} has expired ({text}): have it renewed."
    by = endpoint.ca_file or "the system's CAs"
    return f"The certificate of {where} is not trusted by {by} ({text}): set vcenter.ca_file to the CA that signed it."
