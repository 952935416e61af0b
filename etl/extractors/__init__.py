"""The modules of this package → the providers by name: each module without a leading underscore is one."""

import hashlib
import json
import pkgutil
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from etl.model import Provider

SHIPPED = Path(__file__).parent / "mappings.json"  # `make regenerate` keeps it


def providers() -> Mapping[str, Provider]:
    """Every provider on this package's path, sorted by name."""
    return _found(tuple(__path__))


@cache
def _found(path: tuple[str, ...]) -> Mapping[str, Provider]:
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    found = [import_module(f"{__name__}.{name}").PROVIDER for name in names if not name.startswith("_")]
    return {provider.name: provider for provider in found}


@cache
def mapping_version(provider: Provider) -> str:
    """Which version of a provider's mapping reads its records.

    A provider that ships has a number, which changes with the rows that its recorded pages become. One whose file is
    not the one that ships is known by that file.
    """
    shipped, digest = json.loads(SHIPPED.read_bytes()).get(provider.name), file_digest(provider)
    return str(shipped["version"]) if shipped and shipped["file"] == digest else f"file {digest}"


def file_digest(provider: Provider) -> str:
    """The hash of the text of a provider's file."""
    text = Path(str(sys.modules[provider.ask.__module__].__file__)).read_text("utf-8")
    return hashlib.sha256(text.encode()).hexdigest()[:12]
