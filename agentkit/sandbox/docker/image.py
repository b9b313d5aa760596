"""Build the tier's image: a base, the allowed packages, and the runner.

The image is tagged with a hash of the Dockerfile, of the files copied into it and of the locked
packages, so that a newer agentkit never runs an older runner and no image holds a package that its
lock does not; containers are started by the id behind that tag, or by an id of your own.
What is covered: the runner's files come from this package, the wheels from the lock by hash.
What is not covered: the contents of ``base`` where you name one of your own.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import docker
import docker.errors
import requests.exceptions
import structlog

from agentkit.cache import default_cache_directory
from agentkit.errors import SandboxError
from agentkit.progress import silent
from agentkit.sandbox.docker.base import choose_base, from_dockerfile, target_of
from agentkit.sandbox.docker.context import write_context
from agentkit.sandbox.docker.engine import connect
from agentkit.sandbox.packages import BUNDLED_LOCK, PackageLock
from agentkit.sandbox.packages_pip import download, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentkit.progress import Progress
    from agentkit.sandbox.packages import LockedPackage

__all__ = ["build_image", "find_image", "image_tag", "runner_digest"]

_ROOM = Path(__file__).parent.parent
_COPIED = (
    "bindings.py",
    "cell.py",
    "display.py",
    "frames.py",
    "docker/child.py",
    "docker/interpreter.py",
    "docker/line.py",
    "docker/outlet.py",
    "docker/processes.py",
    "docker/runner.py",
    "docker/workspace.py",
)
_LABEL = "agentkit.sandbox.image"
_STAGES = ("find a base image", "debootstrap", "import the base", "fetch packages",
           "unpack packages", "build the image")  # fmt: skip
_log = structlog.get_logger(__name__)


def runner_digest() -> str:
    """Return the hash of all of agentkit that is in the image."""
    return _digest(path.read_bytes() for path in _copied_files().values())


def image_tag(packages: Sequence[LockedPackage] = ()) -> str:
    """Return the tag of the image that this version of agentkit runs with these packages."""
    digest = runner_digest()
    if packages:
        digest = _digest([digest.encode(), *(one.requirement.encode() for one in packages)])
    return f"agentkit-sandbox:{digest[:24]}"


def find_image(
    client: docker.DockerClient, packages: Sequence[LockedPackage] = (), image: str | None = None
) -> str:
    """Return the image's id. ``image``: the id that it must be, where you have pinned one.

    Raises ``SandboxError`` where it was not built yet, or by another version of agentkit.
    """
    if image is not None and not image.startswith("sha256:") and "@sha256:" not in image:
        raise SandboxError(
            f"{image!r} is no pinned image",
            cure="name it by its digest: sha256:... or NAME@sha256:",
        )
    wanted = image or image_tag(packages)
    try:
        found = client.images.get(wanted)
    except docker.errors.ImageNotFound as error:
        raise SandboxError(
            f"the sandbox's image {wanted} is not built",
            cure=f"build it: {_build_command(packages)}",
        ) from error
    if found.labels.get(f"{_LABEL}.runner") != runner_digest():
        raise SandboxError(
            f"the image {wanted} was built by another version of agentkit",
            cure=f"build it again: {_build_command(packages)}",
        )
    return str(found.id)


def build_image(
    progress: Progress = silent,
    *,
    base: str | None = None,
    dockerfile: Path | None = None,
    url: str | None = None,
    packages: Iterable[str] = (),
    lock: Path = BUNDLED_LOCK,
) -> str:
    """Build the image if it is not there, and return its id. Blocks for up to some minutes.

    ``base``: an image to build on, best pinned by digest; or ``dockerfile``, built first. Without
    either, the registry's ``python:3.13-slim``, and where no registry answers a Debian or Ubuntu
    made with debootstrap (as root). ``packages``: names on the allowlist ``lock``. Raises
    ``SandboxError``.
    """
    selected = PackageLock.load(lock).select(packages)
    client = connect(url)
    try:
        try:
            return find_image(client, selected)
        except SandboxError:
            return _build(client, base, dockerfile, selected, progress)
    finally:
        client.close()


def _build(
    client: docker.DockerClient,
    base: str | None,
    dockerfile: Path | None,
    packages: Sequence[LockedPackage],
    progress: Progress,
) -> str:
    def stage(name: str) -> None:
        progress(name, _STAGES.index(name), len(_STAGES))

    stage(_STAGES[0])
    if dockerfile is not None:
        chosen = from_dockerfile(client, dockerfile)
    else:
        chosen = base or choose_base(client, stage)
    with tempfile.TemporaryDirectory(prefix="agentkit-image-") as folder:
        site = Path(folder) / "site"
        site.mkdir()
        if packages:
            target = target_of(client, chosen)
            wheelhouse = default_cache_directory() / "wheelhouse"
            requirements = [one.requirement for one in packages]
            stage("fetch packages")
            download(requirements, target, wheelhouse)
            stage("unpack packages")
            unpack(requirements, target, wheelhouse, site)
        stage("build the image")
        packed = Path(folder) / "context.tar"
        write_context(packed, _copied_files(), site)
        with packed.open("rb") as context:
            image = _engine_build(client, context, chosen, packages)
    progress(_STAGES[-1], len(_STAGES), len(_STAGES))
    return image


def _engine_build(
    client: docker.DockerClient, context: object, base: str, packages: Sequence[LockedPackage]
) -> str:
    tag = image_tag(packages)
    listed = " ".join(f"{one.name}=={one.version}" for one in packages)
    labels = {
        _LABEL: "1",
        f"{_LABEL}.base": base,
        f"{_LABEL}.runner": runner_digest(),
        f"{_LABEL}.packages": listed,
    }
    try:
        image, _ = client.images.build(
            fileobj=context,  # type: ignore[arg-type]  # the stubs ask for StringIO, the SDK for any file
            custom_context=True,
            tag=tag,
            buildargs={"BASE": base},
            labels=labels,
            network_mode="none",
            rm=True,
            forcerm=True,
        )
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise SandboxError(
            f"the image cannot be built on {base}: {error}",
            cure="see the engine's log, or name another base image",
        ) from error
    _log.info("sandbox_image_built", tag=tag, id=image.id, base=base, packages=listed)
    return str(image.id)


def _copied_files() -> dict[str, Path]:
    """Return name in the build context → file of this package."""
    files = {f"agentkit/sandbox/{name}": _ROOM / name for name in _COPIED}
    return {
        "Dockerfile": _ROOM / "docker" / "Dockerfile",
        "authorities.pem": Path(certifi.where()),
        **files,
    }


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(hashlib.sha256(piece).digest())
    return digest.hexdigest()


def _build_command(packages: Sequence[LockedPackage]) -> str:
    if not packages:
        return "agentkit sandbox build"
    return "agentkit sandbox packages build " + " ".join(one.name for one in packages)
