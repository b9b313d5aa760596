"""Build the tier's image: from a registry where one answers, else from this machine's own mirror.

The image is tagged with a hash of the Dockerfile and of the files copied into it, so that a newer
agentkit never runs an older runner; containers are started by the id behind that tag.
What is covered: debootstrap verifies the distribution's signature; the runner's files come from
this package. What is not covered: the contents of ``base`` where you name one of your own.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import docker.errors
import requests.exceptions
import structlog

from agentkit.errors import SandboxError
from agentkit.progress import silent
from agentkit.sandbox.docker.engine import connect

if TYPE_CHECKING:
    from agentkit.progress import Progress

__all__ = ["build_image", "find_image", "image_tag"]

REGISTRY_BASE = "python:3.13-slim"
_ROOM = Path(__file__).parent.parent
_COPIED = (
    "bindings.py",
    "cell.py",
    "display.py",
    "frames.py",
    "docker/child.py",
    "docker/interpreter.py",
    "docker/processes.py",
    "docker/runner.py",
    "docker/workspace.py",
)
_LABEL = "agentkit.sandbox.image"
_BASE = "agentkit-sandbox-base"  # remove it from the engine to have it made anew
_STAGES = ("find a base image", "debootstrap", "import the base", "build the image")
_BOOTSTRAP_TIMEOUT_S = 900
_NEEDLESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "var/log")
_log = structlog.get_logger(__name__)


def image_tag() -> str:
    """Return the tag of the image that this version of agentkit runs."""
    digest = hashlib.sha256()
    for path in (_ROOM / "docker" / "Dockerfile", *(_ROOM / name for name in _COPIED)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"agentkit-sandbox:{digest.hexdigest()[:24]}"


def find_image(client: docker.DockerClient) -> str:
    """Return the image's id. Raises ``SandboxError`` where it was not built yet."""
    try:
        return str(client.images.get(image_tag()).id)
    except docker.errors.ImageNotFound as error:
        raise SandboxError(
            f"the sandbox's image {image_tag()} is not built",
            cure="build it: python -m agentkit.sandbox.docker",
        ) from error


def build_image(
    progress: Progress = silent,
    *,
    base: str | None = None,
    url: str | None = None,
) -> str:
    """Build the image if it is not there, and return its id. Blocks for up to some minutes.

    ``base``: an image to build on, best pinned by digest; without one, the registry's
    ``python:3.13-slim``, and where no registry answers a Debian or Ubuntu made with debootstrap
    (as root). Raises ``SandboxError``.
    """
    client = connect(url)
    try:
        try:
            return find_image(client)
        except SandboxError:
            return _build(client, base, progress)
    finally:
        client.close()


def _build(client: docker.DockerClient, base: str | None, progress: Progress) -> str:
    total = len(_STAGES)
    progress(_STAGES[0], 0, total)
    chosen = base or _registry_base(client)
    if chosen is None:
        chosen = _debootstrap_base(client, progress)
    progress(_STAGES[3], 3, total)
    try:
        image, _ = client.images.build(
            fileobj=_context(),
            custom_context=True,
            tag=image_tag(),
            buildargs={"BASE": chosen},
            labels={_LABEL: "1", f"{_LABEL}.base": chosen},
            network_mode="none",
            rm=True,
            forcerm=True,
        )
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise SandboxError(
            f"the image cannot be built on {chosen}: {error}",
            cure="see the engine's log, or name another base image",
        ) from error
    progress(_STAGES[3], total, total)
    _log.info("sandbox_image_built", tag=image_tag(), id=image.id, base=chosen)
    return str(image.id)


def _registry_base(client: docker.DockerClient) -> str | None:
    """Return the registry's Python by its digest, or None where no registry answers."""
    try:
        image = client.images.pull(REGISTRY_BASE)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        _log.info("sandbox_no_registry", base=REGISTRY_BASE, reason=str(error)[:200])
        return None
    digests = image.attrs.get("RepoDigests") or []
    return str(digests[0]) if digests else str(image.id)


def _context() -> io.BytesIO:
    """Return the build context as a tar, the same whatever this machine's umask is."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        _add(tar, "Dockerfile", (_ROOM / "docker" / "Dockerfile").read_bytes())
        for name in _COPIED:
            _add(tar, f"agentkit/sandbox/{name}", (_ROOM / name).read_bytes())
    packed.seek(0)
    return packed


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))


def _debootstrap_base(client: docker.DockerClient, progress: Progress) -> str:
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
            cure="apt-get install debootstrap and build as root: sudo python -m "
            "agentkit.sandbox.docker; or name a base image that the engine has",
        )
    mirror = _mirror(suite)
    with tempfile.TemporaryDirectory(prefix="agentkit-image-") as name:
        root = Path(name) / "root"
        progress(_STAGES[1], 1, len(_STAGES))
        _command(
            [debootstrap, "--variant=minbase", "--include=python3", suite, str(root), mirror],
            "debootstrap failed",
        )
        for path in _NEEDLESS:
            shutil.rmtree(root / path, ignore_errors=True)
        progress(_STAGES[2], 2, len(_STAGES))
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
