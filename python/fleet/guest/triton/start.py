"""The module ``triton_service``: Triton's image and systemd unit in a guest."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import GuestError
from .service import parse_container, parse_properties, reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..module import Module

PROPERTIES = "ActiveState,UnitFileState,NeedDaemonReload,FragmentPath"


def start(module: Module) -> dict[str, Any]:
    """Pull the image where it is missing, enable the unit, and (re)start it when there is a reason; in check mode say what.

    Raises:
        GuestError: there is no Docker or no image, or a command failed.
    """
    p, check = module.params, module.check_mode
    guest = TritonService(module)
    pulled, image = guest.have_image(check=check)
    running = parse_container(module.run_command([guest.docker, "inspect", "--type", "container", p["container"]])[1])
    unit = parse_properties(guest.run("systemctl", "show", p["unit"], "-p", PROPERTIES))
    why = reasons(
        running,
        active=unit.get("ActiveState") == "active",
        image=image,
        script=hashlib.sha256(_read(p["script"])).hexdigest()[:16],
        models=_read(p["models_digest"]).decode().strip() if p["models_digest"] else None,
        unit_changed=unit.get("NeedDaemonReload") == "yes",
    )
    if check and p["pending"] and not why:
        why = ["startup.sh, its unit or the models would change"]
    stopped = running is None or unit.get("ActiveState") != "active"
    restart = bool(why) and (p["restart"] or stopped)
    enable = unit.get("UnitFileState") != "enabled"
    if not check:
        guest.bring_up(unit, enable=enable, restart=restart)
    return {"changed": restart or enable or pulled, "reasons": why, "restarted": restart, "pulled": pulled, "image_id": image}


class TritonService:
    """Docker and systemd of this guest."""

    def __init__(self, module: Module) -> None:
        """Find Docker.

        Raises:
            GuestError: it is not installed.
        """
        self.module, self.p = module, module.params
        docker = module.get_bin_path("docker")
        if not docker:
            raise GuestError("there is no docker on this VM: install Docker in the template")
        self.docker = docker

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        """Run a command that has to succeed."""
        return self._answered(f"{' '.join(command[:3])} failed", *command, env=env)

    def have_image(self, *, check: bool) -> tuple[bool, str]:
        """Pull the image when it is wanted; returns whether that changed (or would change) it, and its id."""
        p = self.p
        image = self._image_id()
        if not image and p["pull"] == "never":
            raise GuestError(
                f"image {p['image']} is not on this VM and triton_server_pull is 'never': load it, or allow the pull"
            )
        if p["pull"] != "always" and (image or p["pull"] != "missing"):
            return False, image
        if check:
            return not image, image
        new = self._pull()
        return new != image, new

    def bring_up(self, unit: Mapping[str, str], *, enable: bool, restart: bool) -> None:
        """Have systemd know, start at boot and run the unit, as far as it does not."""
        name = self.p["unit"]
        if unit.get("NeedDaemonReload") == "yes" or not unit.get("FragmentPath"):
            self.run("systemctl", "daemon-reload")
        if enable:
            self.run("systemctl", "enable", name)
        if restart:
            self.module.run_command(["systemctl", "reset-failed", name])
            self.run("systemctl", "restart", name)

    def _answered(
        self, otherwise: str, *command: str, data: str | None = None, env: Mapping[str, str] | None = None, mend: str = ""
    ) -> str:
        code, out, error = self.module.run_command(list(command), data=data, environ_update=env or {})
        if code:
            raise GuestError(f"{otherwise}: {' '.join((error or out).split())[-600:]}{mend}")
        return out

    def _image_id(self) -> str:
        command = [self.docker, "image", "inspect", "--format", "{{.Id}}", self.p["image"]]
        code, out, error = self.module.run_command(command)
        if code and "no such image" not in error.lower():
            raise GuestError(f"Docker does not answer: {' '.join(error.split())}. Is docker.service running?")
        return "" if code else out.strip()

    def _pull(self) -> str:
        config = tempfile.mkdtemp(prefix="triton-pull-")
        env = {"DOCKER_CONFIG": config} if self.p["registry"] else {}
        try:
            if self.p["registry"]:
                self._login(env)
            self.run(self.docker, "pull", "--quiet", self.p["image"], env=env)
        finally:
            shutil.rmtree(config)
        return self._image_id()

    def _login(self, env: Mapping[str, str]) -> None:
        registry, username = self.p["registry"], self.p["registry_username"]
        self._answered(
            f"the login to the registry {registry} as {username} failed",
            *(self.docker, "login", "--username", username, "--password-stdin", registry),
            data=self.p["registry_password"],
            env=env,
            mend=". Check triton_server_registry, triton_server_registry_username and triton_server_registry_password.",
        )


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""
