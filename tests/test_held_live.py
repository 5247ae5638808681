"""A commit that policy holds, as everybody meets it: git pushes it, machines ask a real server, a person for the status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reconciler.gitkit import wait_until
from tests.reconciler.inventories import SOUND
from tests.reconciler.process import FREE, Gitboot, gitboot
from tests.reconciler.signkit import Key, Signed, site_with, ssh_key

pytestmark = pytest.mark.shell
LIMITS = "  policy:\n    limits:\n    - {change: destructive, machines: 0}\n"
OTHER = SOUND["hardware.yaml"].replace("node-01", "node-02").replace(":01", ":02").replace("10.1.0.11", "10.1.0.12")
RULE = "destructive runs on at most 0 machines per site"


class Site(Signed):
    """A repository whose commits a real server follows, which can be killed and started again."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.close()  # the server follows it, not this process

    def serve(self) -> Gitboot:
        state, artifacts = self.root / "state", self.root / "art"
        words = ("serve", "--repo", self.work.path, "--state", state, "--artifacts", artifacts, "--new-site")
        self.server = Gitboot(*words, *FREE)
        return self.server

    def word(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.server.get("/status/reconcile.json"))
        return document

    def follows(self, commit: str) -> None:
        assert wait_until(lambda: self.word().get("head") == commit), self.word()

    def script(self, number: int) -> str:
        return self.server.get(f"/ipxe/52-54-00-12-34-0{number}/boot.ipxe", f"10.1.0.1{number}").decode()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Site, Key]]:
    site, ann = Site(tmp_path), ssh_key(tmp_path, "ann")
    for path in ("hardware.yaml", "profile.yaml", "template.yaml"):
        site.work.write(path, SOUND[path])
    first = site.commit(None, site=site_with("off", ann) + LIMITS)
    with site.serve():
        site.follows(first)
        yield site, ann


def test_what_is_held_stays_so_over_a_kill_while_the_rest_is_served_until_it_is_approved(site: tuple[Site, Key]) -> None:
    here, ann = site
    here.follows(here.commit(None, workflow=SOUND["workflow.yaml"], other=OTHER))
    assert "node-02" in here.script(2)  # it came with the commit that is held
    assert RULE in here.script(1)
    here.server.kill()
    with here.serve():
        assert "gitboot.token=" not in here.script(1)
        assert RULE in here.script(1)
        said = gitboot("status", "--server", f"http://127.0.0.1:{here.server.port}").stdout
        (held,) = here.word()["held"]
        assert f"Gitboot-Approve: {here.word()['plan']}" in held["release"]
        assert " ".join(held["release"].split()) in " ".join(said.split())
        here.follows(here.commit(None, "-m", f"Gitboot-Approve: {here.word()['plan']}"))
        assert RULE in here.script(1), "nobody signed that"
        here.follows(here.commit(ann, "-m", f"Gitboot-Approve: {here.word()['plan']}"))
        assert wait_until(lambda: "gitboot.token=" in here.script(1)), here.script(1)
        assert [] == here.word()["held"]
