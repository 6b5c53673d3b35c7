from __future__ import annotations

import socket
from http.client import RemoteDisconnected

import pytest

from fleet.errors import ConflictError, ConnectError, SiteError, VSphereError
from fleet.vsphere.api import vim, vmodl
from fleet.vsphere.faults import fault_text, translate


def test_what_was_tried_the_fault_and_its_text():
    error = translate("clone qa-001", vim.fault.DuplicateName(msg="The name 'qa-001' already exists.", name="qa-001"))
    assert type(error) is VSphereError
    assert str(error) == "clone qa-001: DuplicateName: The name 'qa-001' already exists."
    assert error.fault == "DuplicateName"


def test_a_fault_without_any_text():
    assert str(translate("power on qa-001", vim.fault.GenericVmConfigFault())) == (
        "power on qa-001: GenericVmConfigFault (vCenter gives no reason)"
    )


def test_messages_and_causes_each_once():
    fault = vim.fault.GenericVmConfigFault(
        msg="Module  'DevicePowerOn'\nfailed.",
        faultMessage=[vmodl.LocalizableMessage(key="x", message="No free vGPU."), vmodl.LocalizableMessage(key="y", message="")],
        faultCause=vim.fault.InvalidState(msg="Module 'DevicePowerOn' failed."),
    )
    assert fault_text(fault) == "Module 'DevicePowerOn' failed. No free vGPU."


def test_a_missing_privilege_is_named():
    fault = vim.fault.NoPermission(
        msg="Permission to perform this operation was denied.", privilegeId="VirtualMachine.Interact.PowerOn"
    )
    fault.object = vim.VirtualMachine("vm-7")
    text = str(translate("power on qa-001", fault))
    assert text.endswith("The account lacks the privilege VirtualMachine.Interact.PowerOn on vm-7.")


def test_an_invalid_argument_is_named():
    fault = vmodl.fault.InvalidArgument(msg="A specified parameter was not correct.", invalidProperty="spec.location.host")
    assert str(translate("clone x", fault)).endswith("(spec.location.host)")


def test_a_lost_swap_is_a_conflict():
    assert isinstance(translate("reconfigure x", vim.fault.ConcurrentAccess(msg="…")), ConflictError)


@pytest.mark.parametrize(
    ("trouble", "result"),
    [
        (vim.fault.NotAuthenticated(msg="The session is not authenticated."), "a new login did not help"),
        (TimeoutError("timed out"), "no answer within the time limit"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (RemoteDisconnected("Remote end closed connection without response"), "Remote end closed connection"),
        (socket.gaierror(-2, "Name or service not known"), "the name is not known"),
    ],
)
def test_a_lost_connection(trouble, result):
    error = translate("read VMs", trouble)
    assert isinstance(error, ConnectError)
    assert result in str(error)


def test_an_error_of_ours_stays_as_it_is():
    ours = SiteError("x")
    assert translate("y", ours) is ours
