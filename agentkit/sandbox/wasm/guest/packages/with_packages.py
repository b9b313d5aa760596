"""The guest with packages: import all of them while there is a disk, then be the guest.

Takes the place of ``app`` in a build with packages. ``chosen`` is written by that build.
"""

# mypy: ignore-errors
# The guest runs on another interpreter, beside modules that exist in its build only.

import importlib
import sys

import wit_world

import chosen
import waiting

waiting.install(wit_world.sleep)  # before a package takes time.sleep under a name of its own

for _name in chosen.MODULES:
    try:
        importlib.import_module(_name)
    except (Exception, SystemExit) as error:
        if _name in chosen.NEEDED:
            raise ImportError(f"{_name} cannot be imported in the guest: {error!r}") from None

import app


class _NothingElse:
    """The last finder, as in ``app``, but it names what there is."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        raise ModuleNotFoundError(
            f"No module named {name!r} in the wasm sandbox "
            f"(it holds the standard library and {', '.join(chosen.PACKAGES)})",
            name=name,
        )


sys.meta_path[-1] = _NothingElse
WitWorld = app.WitWorld
