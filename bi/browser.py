"""A page → what it looks like in a real browser, as a small picture."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZE = {"width": 1280, "height": 1000}
REDUCE = "import sys; from PIL import Image; Image.open(sys.argv[1]).convert('RGB').quantize(160).save(sys.argv[1])"


@contextmanager
def page() -> Iterator[Page]:
    """A page of a Chromium that is installed. Raises RuntimeError where none is."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise RuntimeError("a browser is needed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        browser.close()


def reduce(picture: Path, python: Path) -> None:
    """The picture in few colours, by a Python that has Pillow."""
    subprocess.run([python, "-c", REDUCE, picture], check=True)
