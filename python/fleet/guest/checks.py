"""One function a check: what a tool printed → why the guest is not fit and what to do, or empty. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECKS = ("cloud_init", "time", "disk", "docker", "gpus", "license", "toolkit")


@dataclass(frozen=True)
class GuestGpu:
    """A GPU as ``nvidia-smi -q`` describes it."""

    name: str
    virtual: bool
    licensed: bool
    license: str  # the driver's own words, empty when it has none to say


def cloud_init(code: int, text: str) -> str:
    """``cloud-init status``: ``done`` and ``disabled`` will do; ``code`` 127: there is none."""
    if code == 127:  # noqa: PLR2004  the shell's own "command not found"
        return "there is no cloud-init, which makes the first boot: install it, with its VMware data source, in the template"
    status = re.search(r"^status:\s*(\S+)", text, re.MULTILINE)
    if status is None or status.group(1) in ("done", "disabled", "degraded"):
        return ""
    if status.group(1) == "error":
        return "cloud-init failed: see 'cloud-init status --long' and /var/log/cloud-init.log, and mend the template"
    return f"cloud-init is still '{status.group(1)}': guest_base_wait is too short, or it hangs (/var/log/cloud-init.log)"


def clock(seen: Mapping[str, Any], sent: float, answered: float, limit: float) -> str:
    """The guest's clock against the controller's.

    Args:
        seen: ``epoch``, the guest's time at some moment between question and answer, and whether it is ``synchronised``.
        sent: the controller's time when it sent the question, in seconds since 1970.
        answered: the same when it had the answer.
        limit: seconds that an unsynchronised clock may be off.
    """
    skew = seen["epoch"] - min(max(seen["epoch"], sent), answered)
    if seen["synchronised"] or abs(skew) <= limit:
        return ""
    return (
        f"its clock is not synchronised and is {skew:+.0f} s off the controller's: run timesyncd or chrony in the template, "
        "or switch on VMware Tools' time synchronisation"
    )


def disk(free: Mapping[str, int], minimum: int) -> str:
    """Free MiB by path."""
    short = [f"{path} has {have} MiB" for path, have in free.items() if have < minimum]
    return (
        f"too little free disk space ({', '.join(short)}; {minimum} MiB are wanted): "
        "enlarge the template's disk, or remove images and models"
        if short
        else ""
    )


def version(text: str) -> tuple[int, ...]:
    """The first dotted number in a text, as numbers."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def docker(code: int, out: str, error: str, minimum: str) -> str:
    """``docker version --format {{.Server.Version}}``; ``code`` 127: there is none."""
    if code == 127:  # noqa: PLR2004  the shell's own "command not found"
        return "there is no docker: install Docker in the template"
    if code:
        return f"Docker does not answer ({' '.join(error.split())[:200]}): see 'systemctl status docker'"
    if version(out) < version(minimum):
        return f"Docker {out.strip()} is too old, {minimum} or newer is needed: update the template"
    return ""


def toolkit(programs: Sequence[str], daemon: str) -> str:
    """NVIDIA's container toolkit: its programs on the PATH, or its runtime among Docker's."""
    try:
        runtimes = json.loads(daemon or "{}")
    except ValueError:
        runtimes = {}
    if programs or "nvidia" in runtimes:
        return ""
    return "NVIDIA's container toolkit is missing, so --gpus will fail: install nvidia-container-toolkit in the template"


def parse_gpus(text: str) -> list[GuestGpu]:
    """Read ``nvidia-smi -q``."""
    found = []
    for block in re.split(r"^GPU [0-9A-Fa-f:.]+$", text, flags=re.MULTILINE)[1:]:
        fields: dict[str, str] = {}
        for line in block.splitlines():
            key, colon, value = line.partition(" : ") if " : " in line else line.partition(": ")
            if colon:
                fields.setdefault(key.strip(), value.strip())
        license_ = fields.get("License Status", "")
        found.append(
            GuestGpu(
                name=fields.get("Product Name", "GPU"),
                virtual=fields.get("Virtualization Mode", "").upper() == "VGPU",
                licensed=license_.startswith("Licensed"),
                license=license_,
            )
        )
    return found


def gpus(code: int, text: str, expected: int) -> str:
    """``nvidia-smi -q`` has to show as many GPUs as vCenter gave the VM.

    A MIG-backed vGPU is a GPU of its own to the guest, with its one MIG device below it; so is a whole card, however it is cut.
    """
    if code == 127:  # noqa: PLR2004
        return "there is no nvidia-smi: install NVIDIA's (vGPU guest) driver in the template"
    seen = len(parse_gpus(text))
    if seen == expected:
        return ""
    said = f" (nvidia-smi says: {' '.join(text.split())[:200]})" if not seen else ""
    return (
        f"the driver sees {seen} GPU(s), vCenter gave the VM {expected}{said}: look for NVRM in 'dmesg'; "
        "usual causes: guest and host drivers that do not fit together, or no 64-bit MMIO"
    )


def licenses(found: Sequence[GuestGpu]) -> str:
    """Each vGPU has to be licensed; without, it slows down after some minutes.

    The driver says ``Licensed``, often with the expiry; ``Unlicensed (Unrestricted)`` while the time of grace runs, then
    ``Unlicensed (Restricted)``. A vGPU of which it says nothing is none to rely on. A whole card needs no licence here.
    """
    bad = [f"{gpu.name}: {gpu.license or 'no licence status'}" for gpu in found if gpu.virtual and not gpu.licensed]
    return (
        f"vGPU without a licence ({', '.join(bad)}), it will be slowed down: check the token in /etc/nvidia/ClientConfigToken, "
        "its licence server, and 'systemctl status nvidia-gridd'"
        if bad
        else ""
    )
