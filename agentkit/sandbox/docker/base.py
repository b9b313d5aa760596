"""The image below the tier's own: named, from your Dockerfile, a registry or debootstrap.

What is covered: a registry's image is recorded by its digest; debootstrap verifies the
distribution's signature. What is not covered: the contents of a base or Dockerfile of your own.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import docker.errors
import requests.exceptions
import structlog

from agentkit.errors import SandboxError
from agentkit.sandbox.docker.reaping import own_labels
from agentkit.sandbox.packages_pip import Target

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["choose_base", "from_dockerfile", "target_of"]

REGISTRY_BASE = "python:3.13-slim"
_BASE = "agentkit-sandbox-base"  # remove it from the engine to have it made anew
_BOOTSTRAP_TIMEOUT_S = 900
_NEEDLESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "var/log")
_ASK_PYTHON = "import platform, sys; print('%d.%d' % sys.version_info[:2], platform.machine())"
_log = structlog.get_logger(__name__)


def choose_base(client: docker.DockerClient, stage: Callable[[str], None]) -> str:
    """Return the registry's Python by its digest, or else a Debian or Ubuntu made by debootstrap.

    ``stage`` is told what is going on. Raises ``SandboxError``.
    """
    return _registry_base(client) or _debootstrap_base(client, stage)


def from_dockerfile(client: docker.DockerClient, dockerfile: Path) -> str:
    """Build your own Dockerfile and return the image's id. It must hold ``python3``."""
    if not dockerfile.is_file():
        raise SandboxError(
            "there is no Dockerfile", place=str(dockerfile), cure="name a file that exists"
        )
    try:
        image, _ = client.images.build(
            path=str(dockerfile.parent.resolve()), dockerfile=dockerfile.name, rm=True, forcerm=True
        )
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise SandboxError(
            f"the Dockerfile cannot be built: {error}",
            place=str(dockerfile),
            cure="correct it; 'docker build' shows the same error with its whole log",
        ) from error
    return str(image.id)


def target_of(client: docker.DockerClient, image: str) -> Target:
    """Ask the image's own Python which wheels fit it. Raises ``SandboxError``."""
    try:
        told = client.containers.run(
            image,
            entrypoint=["python3", "-I", "-c", _ASK_PYTHON],
            network_mode="none",
            cap_drop=["ALL"],
            user="65534:65534",
            read_only=True,
            remove=True,
            labels=own_labels(),
        )
        python, machine = bytes(told).decode("ascii").split()
    except (docker.errors.DockerException, requests.exceptions.RequestException, ValueError) as e:
        raise SandboxError(
            f"the base image does not tell its Python: {e}",
            place=image,
            cure="use a base image with python3 on its PATH",
        ) from e
    return Target(python, machine)


def _registry_base(client: docker.DockerClient) -> str | None:
    """Return the registry's Python by its digest, or None where no registry answers."""
    try:
        image = client.images.pull(REGISTRY_BASE)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        _log.info("sandbox_no_registry", base=REGISTRY_BASE, reason=str(error)[:200])
        return None
    digests = image.attrs.get("RepoDigests") or []
    return str(digests[0]) if digests else str(image.id)


def _debootstrap_base(client: docker.DockerClient, stage: Callable[[str], None]) -> str:
    """Make a base image of this machine's own distribution, or find it made; return its tag."""
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    tag = f"{_BASE}:{suite}"
    with suppress(docker.errors.ImageNotFound):
        client.images.get(tag)
        return tag
    debootstrap = shutil.which("debootstrap")
    if debootstrap is None or os.geteuid() != 0:
        raise SandboxError(
            "no registry answers, and debootstrap needs to be installed and run as root",
            cure="apt-get install debootstrap and build as root: sudo agentkit "
            "sandbox build; or name a base image that the engine has",
        )
    mirror = _mirror(suite)
    with tempfile.TemporaryDirectory(prefix="agentkit-image-") as name:
        root = Path(name) / "root"
        stage("debootstrap")
        _command(
            [debootstrap, "--variant=minbase", "--include=python3", suite, str(root), mirror],
            "debootstrap failed",
        )
        for path in _NEEDLESS:
            shutil.rmtree(root / path, ignore_errors=True)
        stage("import the base")
        packed = Path(name) / "root.tar"
        _command(
            [
                "tar",
                "--numeric-owner",
                "--one-file-system",
                "-C",
                str(root),
                "-cf",
                str(packed),
                ".",
            ],
            "packing the base failed",
        )
        client.api.import_image_from_file(str(packed), repository=_BASE, tag=suite)
    return tag


def _mirror(suite: str) -> str:
    """Return the mirror that this machine's apt uses for its own release."""
    fields = "$(SITE) $(RELEASE) $(COMPONENT)"
    listed = _command(
        ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
        "apt does not tell its mirrors",
    )
    for line in listed.splitlines():
        site, release, component = [*line.split(), "", "", ""][:3]
        if suite and release == suite and component == "main":
            return site
    raise SandboxError(
        f"apt knows no mirror of {suite or 'this release'}",
        cure="add the distribution's main component to apt's sources, or name a base image",
    )


def _command(command: list[str], failure: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  the programs are fixed, the arguments are apt's own
            command, capture_output=True, text=True, timeout=_BOOTSTRAP_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"{failure}: {error}", cure="try again with a nearer mirror") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise SandboxError(
            f"{failure}: {lines[-1] if lines else done.returncode}",
            cure="see whether apt-get update works here",
        )
    return done.stdout
