"""What a site is run with: units that systemd takes, a container file whose files are there, a wheel that works alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "docs/deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
CAPABILITIES = {"CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN"}


def settings(unit: Path) -> dict[str, str]:
    """Key → value of every section; no key is given twice."""
    lines = [line.partition("=") for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#")]
    found = {key: value for key, _, value in lines}
    assert len(found) == len(lines)
    return found


def test_the_units_differ_in_what_they_run_and_in_their_capabilities_alone() -> None:
    own = {"Description", "Conflicts", "ExecStart", "AmbientCapabilities", "CapabilityBoundingSet"}
    shared = [{key: value for key, value in settings(unit).items() if key not in own} for unit in UNITS]
    assert shared[0] == shared[1] == shared[2]
    assert ["gitboot-netboot", "gitboot-reconcile", "gitboot"] == [unit.stem for unit in UNITS]
    for unit in UNITS:
        allowed = set[str]() if "reconcile" in unit.stem else CAPABILITIES
        assert (
            allowed
            == set(settings(unit)["CapabilityBoundingSet"].split())
            == set(settings(unit)["AmbientCapabilities"].split())
        )


def test_the_units_run_commands_that_the_configuration_has_a_table_for() -> None:
    configured = tomllib.loads((DEPLOY / "gitboot.toml").read_text())
    run = {settings(unit)["ExecStart"].split()[-1] for unit in UNITS}
    assert {"serve", "reconcile", "netboot"} == run == set(configured)
    for table in configured.values():
        assert f"/var/lib/{settings(UNITS[0])['StateDirectory']}" == table["state"]


def analysed(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.shell
def test_systemd_takes_the_units_and_calls_them_safe(tmp_path: Path) -> None:
    """Exposure from 0 to 100, as `systemd-analyze security` reckons; what is on by default in Debian has 50 to 96."""
    for unit in UNITS:
        copy = tmp_path / unit.stem / unit.name
        copy.parent.mkdir()
        copy.write_text(unit.read_text().replace("/opt/gitboot/bin/gitboot", "/bin/true"))
        done = analysed("verify", "--man=no", copy)
        assert (0, "") == (done.returncode, done.stderr)
        judged = analysed("security", "--offline=true", "--threshold=20", unit)
        assert 0 == judged.returncode, judged.stdout[-300:]
        copy.write_text(copy.read_text().replace("ProtectSystem=", "ProtectSytem="))
        assert "'ProtectSytem' in section" in analysed("verify", "--man=no", copy).stderr


# --- container and wheel ---------------------------------------------------------------------------------------------------


def test_the_container_file_copies_what_is_there_and_all_that_the_wheel_is_made_of() -> None:
    lines = re.findall(r"^COPY (?!--from)(.*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    copied = {source for line in lines for source in line.split()[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert {*packages, "pyproject.toml", "constraints.txt", project["project"]["readme"]} <= copied


@pytest.mark.shell
def test_the_wheel_works_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """Without an index: what it needs is lent by the environment of these tests."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, source)
    for package in ("agent", "netboot", "reconciler", "schemas"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run([*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source])
    (wheel,) = tmp_path.glob("gitboot-*.whl")
    home = tmp_path / "home"
    run([sys.executable, "-m", "venv", "--without-pip", home])
    run([*pip, "--python", home / "bin/python", "install", "--quiet", "--no-deps", "--no-index", wheel])
    lent = next(path for path in sys.path if path.endswith("site-packages"))
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(f"{lent}\n")  # a folder's own .pth files are not read there, nor is ours found twice
    gitboot = home / "bin/gitboot"
    assert str(packages) in run([home / "bin/python", "-c", "import schemas; print(schemas.__file__)"], tmp_path)
    assert {"init", "lease", "stage1"} <= {path.name for path in (packages / "agent/os").iterdir()}
    assert "Serve a git repository" in run([gitboot, "--help"], tmp_path)
    run([gitboot, "check", ROOT / "example-inventory"], tmp_path)
    assert "_gitboot_completion" in run([gitboot], tmp_path, _GITBOOT_COMPLETE="bash_source")


def run(words: list[str | Path], folder: Path | None = None, **environment: str) -> str:
    """What it printed; AssertionError when it fails."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("GITBOOT_", "PYTHON"))}
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, cwd=folder, env=clean | environment, check=False)
    assert 0 == done.returncode, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout
