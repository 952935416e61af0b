"""What ships: an image without privileges and secrets, complete lock files, and a licence."""

import re
import tomllib
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-uv.lock")


def read(name: str) -> str:
    return (ROOT / name).read_text()


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", read("Dockerfile"), flags=re.M))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def locked(name: str) -> dict[str, list[str]]:
    """The distributions of a lock file, each with its lines."""
    found: dict[str, list[str]] = {}
    for entry in re.split(r"\n(?=\w)", re.sub(r"^\s*#.*\n", "", read(name), flags=re.M)):
        found[re.split(r"[=\[ ;]", entry.strip(), maxsplit=1)[0].lower()] = entry.splitlines()
    return found


def test_the_image_runs_the_daemon_as_a_user_without_rights() -> None:
    last = dict(instructions())
    assert last["USER"] not in ("root", "0")
    assert (last["ENTRYPOINT"], last["CMD"]) == ('["python", "-m", "etl"]', '["daemon"]')


def test_the_bases_of_the_image_are_pinned_by_tag() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert bases
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+", base) and not base.endswith(":latest") for base in bases)


def test_the_image_holds_what_exists_and_no_secret() -> None:
    allowed = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    assert read(".dockerignore").startswith("*\n")
    copied = [
        name
        for word, rest in instructions()
        if word in ("COPY", "ADD") and "--from" not in rest
        for name in rest.split()[:-1]
    ]
    assert copied
    assert all((ROOT / name).exists() and name in allowed for name in copied)
    set_here = " ".join(rest for word, rest in instructions() if word in ("ENV", "ARG"))
    assert not re.search(r"KEY|TOKEN|PASSWORD|SECRET|DATABASE_URL", set_here)
    assert not re.search(r"curl|wget|\|\s*(ba)?sh|--trusted-host|--index-url", read("Dockerfile"))


def test_the_wheel_has_every_file_that_the_code_reads(tmp_path: Path) -> None:
    wheel = next(iter(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])))
    packed = set(zipfile.ZipFile(wheel).namelist())
    homes = {"etl": "etl", "migrations": "etl/migrations"}  # one top-level package, so that it collides with no other
    needed = {
        f"{home}/{path.relative_to(ROOT / folder)}"
        for folder, home in homes.items()
        for path in (ROOT / folder).rglob("*.*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "etl/migrations/sql/views/calls.sql" in needed
    assert needed - packed == set()
    assert {name.partition("/")[0] for name in packed if ".dist-info/" not in name} == {"etl"}


def test_all_that_is_locked_has_an_exact_version_and_hashes() -> None:
    for name in LOCKS:
        assert locked(name)
        for distribution, entry in locked(name).items():
            assert re.match(r"[\w.\[\]-]+==[\w.!+]+", entry[0]), (name, distribution)
            assert any("--hash=sha256:" in line for line in entry), (name, distribution)


def test_no_lock_file_names_a_host() -> None:
    assert [name for name in LOCKS if re.search(r"https?://|--index-url|--find-links|\w@ ", read(name))] == []


def test_every_dependency_is_locked_and_the_development_lock_holds_the_others() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    wanted = {re.split(r"[\[<>=!~ ;]", each)[0].lower() for each in project["project"]["dependencies"]}
    tools = {re.split(r"[\[<>=!~ ;]", each)[0].lower() for each in project["dependency-groups"]["dev"]}
    assert wanted <= locked("requirements.lock").keys()
    assert wanted | tools <= locked("requirements-dev.lock").keys()
    run, develop = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {name: lines[0] for name, lines in run.items()}.items() <= {n: ls[0] for n, ls in develop.items()}.items()


def test_the_example_of_the_environment_holds_no_value() -> None:
    lines = [line for line in read(".env.example").splitlines() if line and not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r"[A-Z_]+=", line) for line in lines)
    comments = [each for each in re.split(r"\n(?=[A-Z_]+=)", read(".env.example"))[:-1] if "\n#" in f"\n{each}"]
    assert len(comments) == len(lines)


def test_the_licence_is_apache_2() -> None:
    assert "Apache License" in read("LICENSE")
    assert "Version 2.0, January 2004" in read("LICENSE")
    assert tomllib.loads(read("pyproject.toml"))["project"]["license"] == "Apache-2.0"


def test_ci_runs_the_checks_and_the_tests() -> None:
    script = read(".ci/run").splitlines()
    assert [line for line in script if line.startswith("make ")] == ["make check", "make test"]
    assert "set -euo pipefail" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
