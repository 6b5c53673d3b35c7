"""What vCenter reports beats what is counted: DirectPath capacity of vSphere 9; and what it does not report closes a GPU."""

from __future__ import annotations

import pytest

from fleet.errors import NoRoomError
from fleet.gpu.capacity.remaining import capacity
from fleet.service.status import site_gpus
from fleet.site.load import load_site

from .conftest import BLIND, FOUR, ONE, POLICIES, TWO


def rooms(site, host):
    (found,) = [one for one in capacity(site_gpus(load_site(site.file))).hosts if one.host.name == host]
    return found.gpus[0]


@pytest.mark.parametrize("vcenter", [f"{policy} 9.0.0" for policy in POLICIES], indirect=True, scope="module")
def test_vsphere_9_tells_what_the_slices_leave(site):
    """A 1g at slice 0 leaves no 4g, one elsewhere does: before 9 that is only possible, from 9 on it is known."""
    site.control.add_vm("squatter", cluster="lone", gpu_profiles=[ONE])
    (book,) = [book for book in site.control.gpus() if book["host"] == "esx-lone"]
    start = book["held"][0]["start"]
    room = rooms(site, "esx-lone")
    assert (room.of(FOUR).guaranteed, room.of(FOUR).possible) == ((1, 1) if start >= 4 else (0, 0))
    assert (room.of(TWO).guaranteed, room.of(TWO).possible) == ((2, 2) if start < 6 else (3, 3))
    site.demo("lone", FOUR)
    if start >= 4:
        assert site.present()["failures"] == {}
    else:
        with pytest.raises(NoRoomError, match="7 free slices, but not 4 in a row"):
            site.present()


@pytest.mark.parametrize("vcenter", [POLICIES[0]], indirect=True, scope="module")
def test_a_vm_that_the_account_may_not_read_closes_its_gpu_and_the_privilege_is_named(site):
    site.control.add_vm("secret-project", cluster="lone", gpu_profiles=[ONE])
    assert rooms(site, "esx-lone").of(TWO).guaranteed == 2, "an account that sees it counts on"
    site.change("vcenter", username=BLIND)
    gpu = rooms(site, "esx-lone")
    assert "secret-project" not in gpu.view.unknown
    assert "the account lacks the privilege System.Read on that VM" in gpu.view.unknown
    assert all(room.guaranteed == room.possible == 0 for room in gpu.profiles)
    site.demo("lone", TWO)
    site.change("vcenter", username=BLIND)
    mark = site.control.last()
    with pytest.raises(NoRoomError, match=r"System\.Read") as refused:
        site.present()
    assert "not offered" in str(refused.value)
    assert site.cloned(mark) == []
