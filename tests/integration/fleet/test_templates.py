"""A template that cannot hold what is asked is refused before anything is cloned."""

from __future__ import annotations

import pytest

from fleet.errors import UsageError

from .conftest import BALANCER


def test_a_template_that_does_not_exist_leaves_vcenter_as_it_is(site):
    site.change("fleets", "demo", template="triton-templat")
    mark = site.control.last()
    with pytest.raises(UsageError, match="did you mean triton-template"):
        site.present()
    assert site.writes(mark) == []


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize(
    ("template", "fleet", "said"),
    [
        ("bios-template", {}, ["template bios-template: its firmware is bios", "needs EFI"]),
        ("old-template", {}, ["template old-template: its virtual hardware is vmx-13", "need vmx-17 (ESXi 7.0)"]),
        ("bare-template", {"gpu_profiles": []}, ["template bare-template: it has no network card", "on network triton-net"]),
        ("triton-template", {"balancers": {**BALANCER, "template": "bare-template"}}, ["template bare-template: it has no net"]),
    ],
)
def test_a_template_that_cannot_hold_the_request_is_refused_before_cloning(site, template, fleet, said, check):
    site.change("fleets", "demo", template=template, **fleet)
    mark = site.control.last()
    with pytest.raises(UsageError) as refused:
        site.present(check=check)
    assert [words for words in said if words not in str(refused.value)] == []
    assert site.writes(mark) == []


def test_firmware_is_no_matter_without_gpus(site):
    site.change("fleets", "demo", template="bios-template", gpu_profiles=[])
    assert site.present()["failures"] == {}
    assert site.vm("fleets/demo/demo-001").config.firmware == "bios", "checked, never changed"


def test_check_mode_finds_the_missing_template_too(site):
    site.change("fleets", "demo", template="no-such-thing")
    with pytest.raises(UsageError, match="no template 'no-such-thing'"):
        site.present(check=True)
