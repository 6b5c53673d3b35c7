"""The lab's VM templates: Docker images made from Debian packages and NVIDIA's wheel, without any container registry.

Two images, each tagged by the hash of what it is made from:

* ``balancer``: the plain template;
* ``triton``: the same, with the Triton image in its Docker. See lab/image/README.md.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import LabError
from fleet.lab.build import as_root, cache_dir, cached, hash_tree, locked, run
from fleet.lab.docker import docker, image_exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = "triton-fleet-vm"
TRITON_TAG = "triton-fleet/tritonserver:lab"
"""How the Triton image is called inside the VMs."""

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_COMMAND = 'CMD ["/usr/sbin/lab-init"]'
_TRITON_CONFIG = ("ENV PATH=/opt/tritonserver/bin:/usr/bin:/bin", 'CMD ["tritonserver","--model-repository=/models"]')
_GUEST = (
    "--cgroupns", "private", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN",
    "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--tmpfs", "/run", "--tmpfs", "/tmp:exec",  # noqa: S108
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Images:
    """The tags of the two VM templates."""

    triton: str
    balancer: str

    def present(self) -> bool:
        """Whether this machine's Docker has both."""
        return image_exists(self.triton) and image_exists(self.balancer)


def tags(root: Path) -> Images:
    """The tags that this checkout's images have, built or not."""
    vm, triton = _keys(root)
    return Images(triton=f"{REPOSITORY}:triton-{triton}", balancer=f"{REPOSITORY}:balancer-{vm}")


def build_images(root: Path, step: Callable[[str, str], None]) -> Images:
    """Build what is missing of the two templates.

    Args:
        root: the checkout.
        step: called with what was done, as (step, detail).

    Raises:
        LabError: a package, the wheel or a build step cannot be had.
    """
    images = tags(root)
    vm_key, triton_key = _keys(root)
    with locked(cache_dir() / f".{triton_key}.images.lock"):
        if images.present():
            step("VM images", "there already")
            return images
        _check_machine()
        with ThreadPoolExecutor(1) as pool:
            triton_tree = pool.submit(_triton_tree, root)
            if not image_exists(images.balancer):
                tree = cached(vm_key, "vm.tar", lambda partial: _build_tree(root / "lab/image/vm/build.sh", partial))
                with tree.open("rb") as file:
                    docker("import", "--change", _COMMAND, "-", images.balancer, stdin=file, timeout=300)
                step("VM image", f"{images.balancer}, {_megabytes(images.balancer)} MB")
            _preload(root, images, triton_tree.result())
        step("VM image with Triton", f"{images.triton}, {_megabytes(images.triton)} MB")
    return images


def _keys(root: Path) -> tuple[str, str]:
    folder = root / "lab" / "image"
    vm = hash_tree(folder / "vm", platform.machine(), _COMMAND, ignore=r"^preload\.sh$")
    preload = (folder / "vm" / "preload.sh").read_text(encoding="utf-8")
    return vm, hash_tree(folder / "triton", vm, preload, TRITON_TAG, *_TRITON_CONFIG)


def _check_machine() -> None:
    if platform.machine() != "x86_64":
        raise LabError(f"The lab's VM images need x86_64, as NVIDIA's wheel does, and this machine is {platform.machine()}.")
    missing = [] if shutil.which("mmdebstrap") else ["mmdebstrap"]
    missing += [] if _KEYRING.exists() else ["debian-archive-keyring"]
    if missing:
        raise LabError(
            f"The lab's VM images are built with {' and '.join(missing)}, not here: apt-get install {' '.join(missing)}."
        )


def _build_tree(script: Path, partial: Path, *arguments: str) -> None:
    """Run one of lab/image's build scripts as root; the tar file is this user's."""
    run(as_root(str(script), str(partial), *arguments), what=f"Building {script.parent.name}'s tree from Debian packages")
    if os.geteuid() != 0:
        run(["sudo", "chown", f"{os.getuid()}:{os.getgid()}", str(partial)], what="Taking over the tree")


def _triton_tree(root: Path) -> Path:
    folder = root / "lab" / "image" / "triton"

    def make(partial: Path) -> None:
        wheels = partial.with_name(".wheels")
        run(
            [
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes",
                "--python-version", "3.11", "--platform", "manylinux_2_35_x86_64", "--dest", str(wheels),
                "--requirement", str(folder / "requirements.txt"),
            ],
            what="Fetching NVIDIA's wheel with the Triton server from PyPI",
        )  # fmt: skip
        wheel = next(wheels.glob("*.whl"))
        _build_tree(folder / "build.sh", partial, str(wheel))
        wheel.unlink()
        wheels.rmdir()

    return cached(hash_tree(folder), "triton.tar", make)


def _preload(root: Path, images: Images, tree: Path) -> None:
    """Let a guest's own dockerd take in the Triton image, and keep the result as the template ``images.triton``."""
    script = (root / "lab" / "image" / "vm" / "preload.sh").read_text(encoding="utf-8")
    name = "triton-fleet-prepare-" + images.triton.rpartition("-")[2]
    # No label: an image keeps its container's labels, and every VM would carry it. `--mount`, because `-v` would be kept as well.
    create = ("create", "--interactive", "--name", name, "--network", "none", *_GUEST, "--mount", "type=volume,dst=/prepare")
    with _fresh_container(name):
        docker(*create, images.balancer, "sh", "-c", script, "preload", TRITON_TAG, *_TRITON_CONFIG)
        with tree.open("rb") as file:
            docker("start", "--attach", "--interactive", name, stdin=file, timeout=300)
        docker("commit", "--change", _COMMAND, name, images.triton, timeout=300)


@contextmanager
def _fresh_container(name: str) -> Iterator[None]:
    """Remove a container before and after: one that a killed build left is in the way, and no build leaves one."""
    try:
        _remove(name)
        yield
    finally:
        _remove(name)


def _remove(name: str) -> None:
    if docker("ps", "--all", "--quiet", "--filter", f"name=^{name}$"):
        docker("rm", "--force", "--volumes", name)


def _megabytes(tag: str) -> int:
    return int(docker("image", "inspect", "--format", "{{.Size}}", tag)) // 1_000_000
