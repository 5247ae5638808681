"""The operators' side as another host sees it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netboot.reader_tokens import add_token
from tests.lab.network import Namespace, Network
from tests.lab.site import Gitboot, hardware

pytestmark = pytest.mark.lab

ASK = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers=dict(word.split(": ", 1) for word in sys.argv[2:]))
try:
    print(urllib.request.urlopen(request, timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Gitboot]:
    with Network(tmp_path) as network:
        gitboot = Gitboot(network, tmp_path / "site")
        profile = "apiVersion: gitboot/v1\nkind: Profile\nmetadata: {name: lab}\nspec: {chain: 'http://10.77.0.1/x.ipxe'}\n"
        machine = hardware("node-01", "52:54:00:77:00:01", "10.77.0.11")
        commit = gitboot.commit({"site.yaml": gitboot.site(), "profile.yaml": profile, "node-01.yaml": machine})
        gitboot.start()
        gitboot.served(commit)
        yield gitboot


def ask(host: Namespace, url: str, *headers: str) -> int:
    done = host.run([sys.executable, "-c", ASK, url, *headers])
    assert 0 == done.returncode, done.stderr
    return int(done.stdout)


def test_another_host_reads_with_a_token_and_this_host_without(site: Gitboot) -> None:
    """And where a neighbour says that it is somebody else, it is not believed."""
    server, neighbour = site.network.namespace, site.network.host("10.77.0.66/24")
    url = "http://10.77.0.1/status/index.json"
    token = add_token(site.state, "ada")
    assert 200 == ask(server, "http://127.0.0.1/status/index.json")
    assert [401, 401] == [ask(server, url), ask(neighbour, url)]
    assert 401 == ask(neighbour, url, "X-Forwarded-For: 127.0.0.1", "Host: 127.0.0.1")
    assert 200 == ask(neighbour, url, f"Authorization: Bearer {token}")
    assert 401 == ask(neighbour, url, f"Authorization: Bearer {token[:-1]}")
    assert 200 == ask(neighbour, "http://10.77.0.1/readyz")
    words = [sys.executable, "-m", "reconciler", "status", "--server", "http://10.77.0.1"]
    refused = neighbour.run(words)
    assert (1, True) == (refused.returncode, "gitboot token add" in refused.stderr)
    (site.state / "token").write_text(token + "\n")
    assert "node-01" in neighbour.run([*words, "--token-file", site.state / "token"]).stdout
