"""Go itself as the judge: the same templates and data through text/template with sprig, output against output.

Needs Debian's golang-go and golang-github-masterminds-sprig-dev. Where gitboot is stricter on purpose, the oracle is made to
be so too, or Go's output shows it: `<no value>` for a nil that is printed.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.template import TemplateError, compile_template
from tests.reconciler.template_cases import DATA, GOLDEN, REFUSED
from tests.reconciler.template_grammar import template

pytestmark = pytest.mark.shell

GOPATH = Path("/usr/share/gocode")
GENERATED = 1500

NEWER = re.compile(r"range can't iterate over -?[0-9]+$")
"""What Debian's Go 1.19 refuses and Go 1.22 renders."""


class Rendered(NamedTuple):
    """What Go made of a template: its output, or an error."""

    output: str
    error: str


Oracle = Callable[[list[str]], list[Rendered]]


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Renders templates with Go: its output or error for each."""
    compiler = shutil.which("go")
    if not compiler:
        pytest.skip("go is missing: apt-get install golang-go golang-github-masterminds-sprig-dev")
    if not (GOPATH / "src/github.com/Masterminds/sprig").exists():
        pytest.skip("sprig is missing: apt-get install golang-github-masterminds-sprig-dev")
    folder = tmp_path_factory.mktemp("oracle")
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(folder / "cache"), "GOFLAGS": ""}
    source = Path(__file__).with_name("oracle.go")
    subprocess.run([compiler, "build", "-o", folder / "oracle", source], check=True, env=environment)

    def render(templates: list[str]) -> list[Rendered]:
        request = json.dumps({"data": DATA, "templates": templates})
        done = subprocess.run([folder / "oracle"], input=request, capture_output=True, text=True, check=True, timeout=60)
        return [Rendered(**result) for result in json.loads(done.stdout)]

    return render


def ours(text: str) -> str | None:
    try:
        return compile_template(text).render(DATA)
    except TemplateError:
        return None


def differences(templates: list[str], results: list[Rendered]) -> list[tuple[str, Rendered, str | None]]:
    """Each template that gitboot renders otherwise than Go, or refuses where Go does not, or the other way round."""
    return [
        (text, result, got)
        for text, result in zip(templates, results, strict=True)
        if not NEWER.search(result.error)
        and (got := ours(text)) != (None if result.error or "<no value>" in result.output else result.output)
    ]


def test_go_renders_the_golden_table_the_same(go: Oracle) -> None:
    expected = [Rendered(output, "") for _, output in GOLDEN]
    results = go([text for text, _ in GOLDEN])
    assert [pair for pair in zip(expected, results, strict=True) if pair[0] != pair[1]] == []


def test_go_refuses_what_the_table_says_it_refuses(go: Oracle) -> None:
    accepted = [(text, result.output) for text, result in zip(REFUSED, go(REFUSED), strict=True) if not result.error]
    assert accepted == []


@pytest.mark.parametrize("seed", range(3))
def test_templates_made_at_random_render_as_in_go(go: Oracle, seed: int) -> None:
    chance = random.Random(seed)
    templates = [template(chance) for _ in range(GENERATED // 3)]
    results = go(templates)
    assert differences(templates, results) == []
    assert sum(not result.error for result in results) > GENERATED // 12, "the grammar makes too few that render"
