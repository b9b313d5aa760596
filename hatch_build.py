"""Builds the expert kernel with the package, where there is a C++ compiler; goes on where not."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from types import ModuleType

_KERNELS = Path(__file__).parent / "agentkit" / "model" / "kernels"


def _load_build() -> ModuleType:
    """Load ``build.py`` by its path: the package's own dependencies are not installed yet."""
    spec = importlib.util.spec_from_file_location("agentkit_kernel_build", _KERNELS / "build.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("agentkit/model/kernels/build.py is missing from the source tree")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class KernelBuildHook(BuildHookInterface):
    """Adds the compiled library to wheels and editable installs. AGENTKIT_KERNELS=off skips it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build before the wheel's files are collected."""
        if self.target_name != "wheel" or os.environ.get("AGENTKIT_KERNELS") == "off":
            return
        kernels = _load_build()
        try:
            built = kernels.build()
        except (kernels.BuildFailed, OSError) as reason:
            self.app.display_warning(
                f"agentkit: the expert kernel was not built ({reason}); experts run in plain torch"
            )
            return
        # Compiled code for this platform, but for any Python: it is reached through ctypes.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(str(built.relative_to(Path(__file__).parent)))
