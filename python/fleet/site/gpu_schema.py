"""What ``fleet.yml`` says of a fleet's PCI devices and of how its servers are placed on GPUs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from fleet.gpu.devices import DeviceGroup, DynamicDevice, FixedDevice, PciDevice

HexId = Annotated[str, Field(pattern=r"^(0x)?[0-9a-fA-F]{4}$", description="quoted: YAML takes 2330 for a decimal number")]


class DeviceModel(BaseModel, extra="forbid", frozen=True):
    """A PCI device beside vGPUs: a card by what it is, a card by its address, or a group of linked vGPUs."""

    vendor_id: HexId | None = None
    device_id: HexId | None = None
    label: str = ""
    pci_id: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$")] | None = None
    group: str | None = None
    memory_gb: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_kind(self) -> DeviceModel:
        card = self.vendor_id is not None and self.device_id is not None
        if [card, self.pci_id is not None, self.group is not None].count(True) != 1:
            raise ValueError("give vendor_id with device_id (and label), or pci_id, or group")
        return self

    def device(self) -> PciDevice:
        """The device as the fleet knows it."""
        if self.group is not None:
            return DeviceGroup(self.group)
        if self.pci_id is not None:
            return FixedDevice(self.pci_id, self.memory_gb)
        return DynamicDevice(int(str(self.vendor_id), 16), int(str(self.device_id), 16), self.label, self.memory_gb)


class GpuRulesModel(BaseModel, extra="forbid", frozen=True):
    """How servers are placed on GPUs."""

    policy: Literal["pack", "spread"] = "pack"
    anti_affinity: Literal["none", "host", "gpu"] = "none"
    keep: str = ""
    keep_count: int = Field(default=1, ge=1, le=100_000)
    pin: bool = False
