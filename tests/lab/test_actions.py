"""The images of the standard actions, built for real from Debian's packages: an engine loads them, a registry takes them."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.actions import APPLETS, PROGRAMS
from agent.actions.builder import standard_actions
from tests.lab.docker import Docker, build_actions

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

LIBRARIES = """
import pathlib, subprocess
loader = next(pathlib.Path("/").glob("lib*/ld-linux-*"))
programs = [path for folder in ("bin", "sbin", "usr/bin", "usr/sbin") for path in pathlib.Path("/", folder).iterdir()]
programs += pathlib.Path("/usr/lib").glob("python3.*/lib-dynload/*.so")
programs = [path for path in programs if path.is_file() and path.open("rb").read(4) == b"\\x7fELF"]
for path in programs:
    said = subprocess.run([loader, "--list", path], capture_output=True, text=True)
    if "not found" in said.stdout + said.stderr:
        print(path, said.stdout, said.stderr)
print(len(programs), "programs")
"""


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with Docker(tmp_path_factory.mktemp("docker")) as engine:
        yield engine


def test_the_same_input_has_the_same_digest(actions: Path, tmp_path: Path) -> None:
    assert actions.read_bytes() == build_actions(tmp_path / "again.tar").read_bytes()


def test_nothing_in_it_belongs_to_a_user_or_tells_who_built_it(actions: Path) -> None:
    with tarfile.open(actions) as tar:
        for name in tar.getnames():
            if name.endswith("layer.tar"):
                with tarfile.open(fileobj=tar.extractfile(name)) as layer:
                    assert {(0, 0, 0)} == {(each.uid, each.gid, each.mtime) for each in layer}


def test_an_engine_loads_every_image_and_runs_an_action(actions: Path, docker: Docker) -> None:
    loaded = docker.ask("docker", "load", "--input", actions)
    for _, action in standard_actions():
        assert f"Loaded image: {action.name}:v3" in loaded
    said = docker.ask("docker", "run", "--rm", "--privileged", "--network=host", "--volume=/dev:/dev", "reboot:v3")
    assert said.startswith("reboot: the machine restarts")
    shell = ["docker", "run", "--rm", "--network=none", "shell:v3"]
    assert "Linux\n" == docker.ask(*shell, "sh", "-c", "cd /etc && uname | tee /tmp/it | grep -o 'L.*'")
    assert "there is nothing to run" in docker.run(*shell).stderr


def test_every_program_that_was_kept_finds_its_libraries(actions: Path, docker: Docker) -> None:
    docker.ask("docker", "load", "--input", actions)
    python = ["docker", "run", "--rm", "--network=none", "--entrypoint=/usr/bin/python3", "reboot:v3", "-c"]
    lines = docker.ask(*python, LIBRARIES).splitlines()
    assert 1 == len(lines), "\n".join(lines)
    assert int(lines[0].split()[0]) > 50
    assert set(APPLETS) <= set(docker.ask("docker", "run", "--rm", "shell:v3", "busybox", "--list").split())
    missing = f"import shutil; print([name for name in {sorted({*PROGRAMS, *APPLETS})} if not shutil.which(name)])"
    assert "[]\n" == docker.ask(*python, missing)
    modules = [module for module, _ in standard_actions()]
    docker.ask(*python, f"import importlib; print([importlib.import_module(each) for each in {modules}])")
    trusted = "import ssl, lzma, bz2; print(len(ssl.create_default_context().get_ca_certs()) > 50)"
    assert "True\n" == docker.ask(*python, trusted)


def test_a_registry_takes_an_image_from_the_archive_and_an_engine_pulls_it(actions: Path, docker: Docker) -> None:
    name = f"{docker.registry}/gitboot/reboot:v3"
    docker.ask("skopeo", "copy", "--dest-tls-verify=false", f"docker-archive:{actions}:reboot:v3", f"docker://{name}")
    docker.run("docker", "rmi", "--force", name)
    docker.ask("docker", "pull", name)
    assert docker.ask("docker", "run", "--rm", "--network=none", name).startswith("reboot: the machine restarts")
