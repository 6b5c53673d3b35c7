"""fleet.yml: every mistake is one sentence that says the mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet.errors import SiteError
from fleet.gpu.devices import DeviceGroup, DynamicDevice
from fleet.site.load import load_site

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
plugin: fleet_vsphere
vcenter: {host: vc.example.com, username: me, password_file: secret}
fleets:
  qa: {folder: fleets/qa, template: t, cluster: c, size: {initial: 2, min: 1, max: 4}}
"""


def write(folder: Path, text: str) -> Path:
    site = folder / "north"
    site.mkdir(exist_ok=True)
    (site / "fleet.yml").write_text(text, encoding="utf-8")
    (site / "secret").write_text("hunter2\n", encoding="utf-8")
    (site / "secret").chmod(0o600)
    return site


def test_a_site_is_read(tmp_path: Path) -> None:
    site = load_site(write(tmp_path, GOOD))
    assert site.name == "north"
    assert site.fleet(None).size.max == 4
    endpoint = site.endpoint({})
    assert (endpoint.host, endpoint.port, endpoint.password) == ("vc.example.com", 443, "hunter2")
    assert "hunter2" not in repr(endpoint)


def test_the_environment_fills_what_is_open_and_only_tightens_verification(tmp_path: Path) -> None:
    site = load_site(write(tmp_path, GOOD.replace("host: vc.example.com, ", "validate_certs: false, ")))
    env = {"VMWARE_HOST": "vc2", "VMWARE_VALIDATE_CERTS": "True"}
    assert site.endpoint(env).host == "vc2"
    assert site.endpoint(env).validate_certs is True
    strict = load_site(write(tmp_path, GOOD))
    assert strict.endpoint({"VMWARE_VALIDATE_CERTS": "False"}).validate_certs is True


@pytest.mark.parametrize(
    ("said", "same"),
    [
        (None, "same"),
        ("", "same"),
        ("https://VC.example.com/sdk", "same"),
        ("vc.example.com:443", "same"),
        ("vc2", ""),
        ("?!", ""),
    ],
)
def test_another_vcenter_in_the_environment_is_reported_and_ignored(tmp_path: Path, said: str | None, same: str) -> None:
    site = load_site(write(tmp_path, GOOD))
    environment = {} if said is None else {"VMWARE_HOST": said}
    assert site.endpoint(environment).host == "vc.example.com"
    warning = site.overruled(environment)
    assert (warning is None) == bool(same)
    assert not warning or f"VMWARE_HOST names {said} and is ignored" in warning
    open_one = load_site(write(tmp_path, GOOD.replace("host: vc.example.com, ", "")))
    assert open_one.overruled(environment) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("template: t", "tempalte: t", "did you mean template"),
        ("folder: fleets/qa, ", "", "fleets.qa.folder is missing"),
        ("initial: 2", "initial: 9", "min 1 ≤ initial 9 ≤ max 4"),
        ("cluster: c, ", "", "name a cluster, or hosts"),
        ("host: vc.example.com", "hots: vc.example.com", "did you mean host"),
        ("qa:", "Q_A:", "fleets.Q_A"),
        ("initial: 2", "initial: two", "found 'two'"),
        ("plugin: fleet_vsphere", "plugin: [", "is not YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SiteError, match=r"fleet\.yml") as caught:
        load_site(write(tmp_path, GOOD.replace(old, new)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_password_names_the_file_and_the_variable(tmp_path: Path) -> None:
    site = write(tmp_path, GOOD)
    (site / "secret").unlink()
    with pytest.raises(SiteError, match="cannot be read"):
        load_site(site).endpoint({})
    site = write(tmp_path, GOOD.replace(", password_file: secret", ""))
    with pytest.raises(SiteError, match="VMWARE_PASSWORD"):
        load_site(site).endpoint({})


def test_one_of_several_fleets_must_be_chosen(tmp_path: Path) -> None:
    text = GOOD + "  en: {folder: fleets/en, template: t, cluster: c, size: {initial: 1, min: 1, max: 2}}\n"
    site = load_site(write(tmp_path, text))
    with pytest.raises(SiteError, match="en, qa"):
        site.fleet(None)
    with pytest.raises(SiteError, match="no fleet called 'zz'"):
        site.fleet("zz")


def test_devices_and_rules_of_placement(tmp_path: Path) -> None:
    text = GOOD.replace(
        "cluster: c,",
        "cluster: c, placement: {policy: spread, pin: true}, "
        "devices: [{vendor_id: '10de', device_id: '2330', label: pt}, {group: 'Nvidia:2@grid_a100d-80c%NVLink'}],",
    )
    spec = load_site(write(tmp_path, text)).fleet(None)
    assert (spec.gpu_rules.policy, spec.gpu_rules.pin, spec.gpu_rules.anti_affinity) == ("spread", True, "none")
    assert spec.server.devices == (DynamicDevice(0x10DE, 0x2330, "pt"), DeviceGroup("Nvidia:2@grid_a100d-80c%NVLink"))
    plain = load_site(write(tmp_path, GOOD)).fleet(None)
    assert plain.server.devices is None
    assert plain.server.digest() != spec.server.digest()


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("[{vendor_id: '10de'}]", "give vendor_id with device_id"),
        ("[{vendor_id: '10de', device_id: '20f1', pci_id: '0000:3b:00.0'}]", "give vendor_id with device_id"),
        ("[{vendor_id: '10de', device_id: 2330}]", "devices.0.device_id: Input should be a valid string"),
        ("[{vendor_id: '10de', device_id: '20f1', lable: x}]", "did you mean label"),
        ("[{pci_id: '0000:3b:00.0'}]", "a device by pci_id ties a server to its host"),
    ],
)
def test_devices_that_are_not_understood(tmp_path: Path, devices: str, message: str) -> None:
    with pytest.raises(SiteError, match=message):
        load_site(write(tmp_path, GOOD.replace("cluster: c,", f"cluster: c, devices: {devices},")))


def two_fleets(tmp_path: Path, folder: str) -> Path:
    return write(tmp_path, GOOD + f"  en: {{folder: {folder}, template: t, cluster: c, size: {{initial: 2, min: 1, max: 4}}}}\n")


@pytest.mark.parametrize("folder", ["fleets/en", "fleets/qa-2"])
def test_a_fleet_has_a_folder_of_its_own(tmp_path: Path, folder: str) -> None:
    assert load_site(two_fleets(tmp_path, folder)).fleet("en").folder == folder


@pytest.mark.parametrize("folder", ["fleets/qa", "/fleets/QA/", "fleets", "fleets/qa/below"])
def test_a_folder_of_two_fleets_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(SiteError, match="fleets qa and en share a folder: give each its own, none below another's"):
        load_site(two_fleets(tmp_path, folder))
