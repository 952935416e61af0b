"""The modules of this package → the providers by name: each module without a leading underscore is one."""

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from etl.model import Provider


def providers() -> Mapping[str, Provider]:
    """Every provider on this package's path, sorted by name."""
    return _found(tuple(__path__))


@cache
def _found(path: tuple[str, ...]) -> Mapping[str, Provider]:
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    found = [import_module(f"{__name__}.{name}").PROVIDER for name in names if not name.startswith("_")]
    return {provider.name: provider for provider in found}
