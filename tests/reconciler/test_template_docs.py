"""docs/templates.md is the manual: every function in it exists, every function is in it, its recipes and limits are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.template import FUNCTIONS, Limits, TemplateError, compile_template
from tests.reconciler import template_cases

DATA = template_cases.DATA | {"disks": {"root": "/dev/disk/by-gitboot/root", "root-1": "/dev/disk/by-gitboot/root-1"}}
MANUAL = (Path(__file__).parents[2] / "docs/templates.md").read_text()


def section(title: str) -> str:
    return MANUAL.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[tuple[str, str]]:
    """The first two cells of each row of the section's table."""
    cells = [re.split(r"(?<!\\)\|", line)[1:3] for line in section(title).splitlines() if line.startswith("| ")]
    return [(first.strip(), second.strip().replace(r"\|", "|")) for first, second in cells[1:]]


def test_every_function_is_in_the_manual_and_the_manual_has_no_other() -> None:
    documented = [call.split()[0] for row, _ in rows("Functions") for call in re.findall("`([^`]+)`", row)]
    assert sorted(FUNCTIONS) == sorted(documented)


@pytest.mark.parametrize(("wanted", "recipe"), rows("Recipes"))
def test_every_recipe_renders(wanted: str, recipe: str) -> None:
    template = compile_template("x".join(long or short for long, short in re.findall("``(.+?)``|`([^`]+)`", recipe)))
    if wanted == "to stop with your own words":
        with pytest.raises(TemplateError, match="say which disk"):
            template.render(DATA | {"disk": ""})
    else:
        assert template.render(DATA)


def test_the_example_renders() -> None:
    example = MANUAL.split("```yaml\n")[1].split("```")[0]
    assert 'environment: {DEST_DISK: "/dev/nvme0n1"}' in compile_template(example).render(DATA)


def test_the_limits_are_those_of_the_code() -> None:
    stated = [int(number.replace(",", "")) for _, value in rows("Limits") for number in re.findall("^[0-9,]*[0-9]", value)]
    assert [Limits().text, Limits().output, Limits().steps, Limits().depth, 1000] == stated
