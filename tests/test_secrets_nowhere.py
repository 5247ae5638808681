"""A real server and a real agent, with secrets that an action betrays: they are in nothing that was written or said."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from tests import secret_documents as documents
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import PROFILE, SITE
from tests.reconciler.process import FREE, Gitboot
from tests.test_live_agents import Machine, node

pytestmark = pytest.mark.shell

PASSWORD, TOKEN = "correct horse battery", "tr0ub4dor and three"
FORMS = [
    form
    for value in (PASSWORD, TOKEN)
    for form in (value, b64encode(value.encode()).decode()[:20], value.encode().hex(), value[:12])
]
BETRAY = """\
echo $PW; printf %s "$PW" | base64; printf '%.5s' "$PW"; sleep 0.1; echo "${PW#?????}" >&2; echo $TOKEN; env
grep -rqF "$PW" STATE && echo it is on the disk of the agent
printf %s "$PW$TOKEN" | sha256sum | grep -q DIGEST && echo they are right
echo no use for $PW; exit 1
"""
"""Tells them in pieces, in base64, by both streams, and in the last line, which becomes the reason of its failure."""


@pytest.fixture
def site(tmp_path: Path) -> Work:
    work = Work(tmp_path / "site")
    (tmp_path / "art/inspect").mkdir(parents=True)
    (tmp_path / "art/inspect/vmlinuz").write_bytes(b"kernel")
    (tmp_path / "age.key").write_text(documents.IDENTITY)
    work.write("site.yaml", SITE)
    work.write("profile.yaml", PROFILE)
    work.write("nodes.yaml", node(1))
    work.write("age.yaml", documents.secret("database", {"password": f"{PASSWORD}\n"}))
    work.write("sops.yaml", documents.sops("forge", {"token": TOKEN}))
    refs = [("database", "password", "PW"), ("forge", "token", "TOKEN")]
    digest = sha256(f"{PASSWORD}{TOKEN}".encode()).hexdigest()
    script = BETRAY.replace("STATE", str(tmp_path / "agent")).replace("DIGEST", digest)
    action = {
        "name": "betray",
        "image": "i:v1",
        "timeout": 60,
        "command": ["sh", "-c", script],
        "secrets": [{"secretRef": {"name": name, "key": key}, "env": env} for name, key, env in refs],
    }
    spec = {"tasks": [{"name": "t", "actions": [action]}]}
    template = {"apiVersion": "gitboot/v1", "kind": "Template", "metadata": {"name": "betray"}, "spec": spec}
    workflow = {"template": "betray", "hardware": "node-01", "onFailure": "reboot"}
    document = {"apiVersion": "gitboot/v1", "kind": "Workflow", "metadata": {"name": "betray"}, "spec": workflow}
    work.write("work.yaml", "\n---\n".join(map(json.dumps, (template, document))))
    work.commit()
    return work


def test_secrets_are_nowhere_but_in_the_action_that_names_them(tmp_path: Path, site: Work) -> None:
    options: list[str | Path] = ["--repo", site.path, "--state", tmp_path / "state", "--artifacts", tmp_path / "art"]
    with Gitboot("serve", *options, *FREE, "--new-site", "--age-identity", tmp_path / "age.key") as server:
        server.wait_for("plan-served")
        machine = Machine(1, server.port, tmp_path / "agent")
        machine.start()
        machine.join(60)
        assert not machine.is_alive()
        status = json.loads(server.get("/status/workflows/betray.json"))
        [run] = status["runs"]
        log = server.get(_log_of(run)).decode()
        paths = [*json.loads(server.get("/status/index.json"))["documents"], "/metrics", "/", "/healthz"]
        said = "\n".join([log, *machine.said, *(server.get(path).decode() for path in paths)])
    lines = [json.dumps(line) for line in server.lines] + server.said
    assert "they are right" in log
    assert "on the disk of the agent" not in log
    assert "*" * len(PASSWORD) in log
    assert "FAILED" == status["state"]
    assert f"no use for {'*' * len(PASSWORD)}" in said
    kept = [path for folder in ("state", "agent") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert any("journal" in str(path) for path in kept)
    everything = [said, *lines, *(path.read_bytes().decode(errors="replace") for path in kept)]
    found = [(form, text[:200]) for form in (*FORMS, documents.IDENTITY) for text in everything if form in text]
    assert [] == found


def _log_of(run: object) -> str:
    """The path of the only log in a run's document."""
    [path] = {each for each in _texts(run) if each.startswith("/logs/") and "console" not in each}
    return path


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []
