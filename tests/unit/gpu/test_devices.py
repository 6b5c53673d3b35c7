from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.gpu.devices import (
    AttachedDevice,
    DeviceGroup,
    DynamicDevice,
    FixedDevice,
    Vgpu,
    device_options,
    difference,
    mmio_gb,
    pci_device_count,
    requested_devices,
)

TWO, TEN = Vgpu("grid_a100-2-10c"), Vgpu("grid_a100-10c")
PAIR = DeviceGroup("Nvidia:2@grid_a100d-80c%NVLink")
CARD = DynamicDevice(0x10DE, 0x20F1, "a100-pt", 40)


def there(*devices):
    return [AttachedDevice(device, (13000 + n,)) for n, device in enumerate(devices)]


def test_several_of_one_profile_are_counted():
    change = difference([TWO] * 3, there(TWO))
    assert change.add == (TWO, TWO)
    assert (change.remove, [one.keys for one in change.keep]) == ((), [(13000,)])
    assert not difference([TWO, TWO], there(TWO, TWO))


def test_of_too_many_those_with_the_highest_keys_go():
    change = difference([TWO], there(TWO, TEN, TWO))
    assert [one.keys for one in change.keep] == [(13000,)]
    assert [one.keys for one in change.remove] == [(13001,), (13002,)]
    assert not change.add


def test_case_and_prefix_are_no_difference():
    assert not difference([Vgpu("NVIDIA_A100-2-10C")], there(TWO))
    assert not difference([DeviceGroup(PAIR.name.upper())], [AttachedDevice(PAIR, (13000, 13001), 0)])


def test_devices_of_different_kinds_are_not_equal():
    fixed = FixedDevice("0000:3b:00.0")
    other = DynamicDevice(0x10DE, 0x20F1)
    assert difference([TWO, CARD, fixed, PAIR], there(CARD)).add == (TWO, fixed, PAIR)
    assert difference([other], there(CARD)).add == (other,), "without the label it asks for something else"
    assert not difference([DynamicDevice(0x10DE, 0x20F1, "a100-pt")], there(CARD)), "its size is no part of what it is"


SOME = st.lists(st.sampled_from([TWO, TEN, PAIR, CARD]), max_size=8)


@given(SOME, SOME)
def test_applied_it_gives_the_requested_devices_in_their_order(requested, attached):
    have = there(*attached)
    change = difference(requested, have)
    after = [*(one.device for one in change.keep), *change.add]
    assert Counter(after) == Counter(requested)
    assert [one for one in after if one.vgpus] == [one for one in requested if one.vgpus]
    assert sorted([*change.keep, *change.remove], key=lambda one: one.keys) == have
    assert not difference(requested, there(*after))


@given(st.lists(st.sampled_from([TWO, CARD]), max_size=8), st.lists(st.sampled_from([TWO, CARD]), max_size=8))
def test_where_the_order_says_nothing_there_are_the_fewest_changes(requested, attached):
    change = difference(requested, there(*attached))
    assert len(change.keep) == sum((Counter(requested) & Counter(attached)).values())


def test_a_small_one_before_the_big_one_is_added_again():
    change = difference([TEN, TWO], there(TWO))
    assert (change.add, [one.keys for one in change.remove]) == ((TEN, TWO), [(13000,)])
    assert [one.keys for one in difference([TWO, TEN], there(TWO)).keep] == [(13000,)]


@pytest.mark.parametrize(
    ("devices", "size"),
    [
        ((Vgpu("grid_a100-1-5c"),), 64),
        ((Vgpu("grid_a100-40c"),), 128),
        ((Vgpu("nvidia_h100xm-80c"),), 256),
        ((Vgpu("grid_a100d-7-80c"),) * 2, 512),
        ((Vgpu("grid_a100-4-20c"), Vgpu("grid_a100-3-20c")), 128),
        ((Vgpu("future_x1-3-96c"),), 256),
        ((Vgpu("unknown name"),), 128),
        ((PAIR,), 512),
        ((CARD,), 128),
        ((FixedDevice("0000:3b:00.0"),), 256),
        ((CARD, Vgpu("grid_a100-40c")), 256),
        ((), 64),
    ],
)
def test_mmio_is_twice_the_frame_buffers_to_the_next_power_of_two(devices, size):
    assert mmio_gb(devices) == size


def test_a_groups_name_says_what_it_brings():
    assert PAIR.vgpus == ("grid_a100d-80c",) * 2
    assert DeviceGroup("Nvidia:4@nvidia_h100xm-80c%NVLink").vgpus == ("nvidia_h100xm-80c",) * 4
    assert DeviceGroup("Another form").vgpus == ()
    assert pci_device_count([PAIR, TWO, CARD]) == 4


def test_options_of_what_is_held():
    assert device_options(()) == {}
    assert device_options((TWO, TWO), (None, "0000:3b:00.0")) == {
        "pciPassthru.use64bitMMIO": "TRUE",
        "pciPassthru.64bitMMIOSizeGB": "64",
        "pciPassthru1.cfg.gpu-pci-id": "0000:3b:00.0",
    }


def test_pins_count_vgpus_and_number_devices():
    options = device_options((CARD, TWO, PAIR, TEN), ("0000:3b:00.0", "0000:3c:00.0"))
    assert {key: value for key, value in options.items() if key.endswith("gpu-pci-id")} == {
        "pciPassthru1.cfg.gpu-pci-id": "0000:3b:00.0",
        "pciPassthru4.cfg.gpu-pci-id": "0000:3c:00.0",
    }


def test_pins_of_what_was_held_are_removed():
    options = device_options((TWO,), ("0000:3c:00.0",), before=2)
    assert (options["pciPassthru0.cfg.gpu-pci-id"], options["pciPassthru1.cfg.gpu-pci-id"]) == ("0000:3c:00.0", "")
    assert set(device_options((), before=1).values()) == {""}


def test_the_devices_of_a_server():
    assert requested_devices(["a", "a"], [CARD]) == (Vgpu("a"), Vgpu("a"), CARD)
