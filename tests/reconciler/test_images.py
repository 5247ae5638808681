"""Where an action's image comes from: prefix, archive, registry, and never docker.io unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agent.actions.builder import standard_actions
from netboot.plan import Artifact, BootPlan
from reconciler.compile import Compiled, Compiler
from reconciler.images import Held
from tests.netboot.test_plan import example
from tests.reconciler.inventories import BARE, SOUND, read

ACTIONS = Artifact("actions.tar", "a" * 64, 7)
MORE = Artifact("more/tools.tar", "b" * 64, 9)
KERNEL = Artifact("inspect/vmlinuz", "c" * 64, 5)
FROM_ACTIONS = {"url": f"/artifacts/sha256/{'a' * 64}/actions.tar", "sha256": "a" * 64, "size": 7}


def compiled(images: str, held: Mapping[str, tuple[str, ...]] | None, image: str = "look:v1", **files: str) -> Compiled:
    """`held`: what the archives hold that are there; None when nobody looked."""
    template = SOUND["template.yaml"].replace("look:v1", image)
    inventory = read({**SOUND, "site.yaml": SOUND["site.yaml"] + images, "template.yaml": template, **files})
    if held is None:
        return Compiler().compile(inventory)
    found = {each.path: each for each in (ACTIONS, MORE, KERNEL) if each.path in held or each is KERNEL}
    return Compiler().compile(inventory, found, {path: Held(found[path], names) for path, names in held.items()})


def plan_of(made: Compiled) -> BootPlan:
    assert made.dump is not None, made.problems
    return made.dump.plan


def resolved(made: Compiled) -> tuple[str, dict[str, Any] | None]:
    action = plan_of(made).machines["node-01"].work[0].document["tasks"][0]["actions"][0]
    return action["image"], action["archive"]


PREFIX = "  images: {prefix: registry.example/gitboot}\n"
ARCHIVE = "  images: {archives: [actions.tar]}\n"
BOTH = "  images: {prefix: registry.example/gitboot/, archives: [actions.tar]}\n"


@pytest.mark.parametrize(
    ("images", "written", "held", "expected", "archive"),
    [
        (PREFIX, "look:v1", {}, "registry.example/gitboot/look:v1", None),
        (PREFIX, "tools/look:v1", {}, "registry.example/gitboot/tools/look:v1", None),
        (PREFIX, "quay.io/look:v1", {}, "quay.io/look:v1", None),
        (PREFIX, "localhost/look", {}, "localhost/look", None),
        (PREFIX, "host:5000/look", {}, "host:5000/look", None),
        (ARCHIVE, "look:v1", {"actions.tar": ("look:v1",)}, "look:v1", FROM_ACTIONS),
        (ARCHIVE, "look", {"actions.tar": ("docker.io/library/look:latest",)}, "docker.io/library/look:latest", FROM_ACTIONS),
        (ARCHIVE, "quay.io/look:v1", {"actions.tar": ("quay.io/look:v1",)}, "quay.io/look:v1", FROM_ACTIONS),
        (BOTH, "look:v1", {"actions.tar": ("look:v1",)}, "look:v1", FROM_ACTIONS),
        (
            BOTH,
            "look:v1",
            {"actions.tar": ("registry.example/gitboot/look:v1",)},
            "registry.example/gitboot/look:v1",
            FROM_ACTIONS,
        ),
        (BOTH, "look:v1", {"actions.tar": ("look:v2",)}, "registry.example/gitboot/look:v1", None),
        (BOTH, "look:v1", None, "registry.example/gitboot/look:v1", None),
    ],
)
def test_an_image_is_resolved_by_prefix_then_archive_then_registry(
    images: str, written: str, held: dict[str, tuple[str, ...]] | None, expected: str, archive: dict[str, Any] | None
) -> None:
    made = compiled(images, held, written)
    assert ((expected, archive), ()) == (resolved(made), made.problems)


def test_what_would_come_from_docker_is_warned_of_where_it_is_written() -> None:
    (problem,) = compiled("", {}).problems
    assert ("template.yaml", 8, "warning", "docker-hub-image") == (problem.file, problem.line, problem.severity, problem.code)
    (bare,) = compiled(
        "", {}, **{"bare.yaml": BARE, "workflow.yaml": SOUND["workflow.yaml"].replace("look,", "bare,")}
    ).problems
    assert ("bare.yaml", "docker-hub-image") == (bare.file, bare.code)


def test_without_the_artefact_folder_nobody_knows_what_an_archive_holds_and_nothing_is_said() -> None:
    made = compiled(ARCHIVE, None)
    assert (("look:v1", None), ()) == (resolved(made), made.problems)


def test_an_image_that_is_there_under_another_tag_is_named() -> None:
    (problem,) = compiled(ARCHIVE, {"actions.tar": ("look:latest", "other:v1")}).problems
    assert ("docker-hub-image", True) == (problem.code, "an archive has 'look:latest': correct the tag" in problem.message)
    assert "other" not in problem.message


def test_a_missing_archive_says_how_it_is_made_and_nothing_of_what_it_would_hold() -> None:
    (problem,) = compiled(ARCHIVE, {}).problems
    assert ("missing-artifact", "spec.images.archives[0]", "site.yaml", 7) == (
        problem.code,
        problem.path,
        problem.file,
        problem.line,
    )
    assert "`gitboot actions build --out DIR/actions.tar` makes one" in problem.message


def test_an_image_in_two_archives_is_in_none() -> None:
    two = "  images: {archives: [actions.tar, more/tools.tar]}\n"
    (problem,) = compiled(two, {"actions.tar": ("look:v1",), "more/tools.tar": ("tools:v1", "docker.io/look:v1")}).problems
    assert ("duplicate-image", "spec.images.archives[1]") == (problem.code, problem.path)
    assert "'actions.tar'" in problem.message


def test_archives_are_artefacts_of_the_plan_and_an_unchanged_one_changes_no_machine() -> None:
    inventory = read({**SOUND, "site.yaml": SOUND["site.yaml"] + ARCHIVE})
    compiler, found = Compiler(), {each.path: each for each in (ACTIONS, KERNEL)}
    held = ("look:v1", "look:v1", "other:v1")
    made = [compiler.compile(inventory, found, {"actions.tar": Held(ACTIONS, (name,))}) for name in held]
    plans = [plan_of(each) for each in made]
    assert ACTIONS == plans[0].artifacts["actions.tar"]
    assert made[0].provenance.machines["node-01"] is made[1].provenance.machines["node-01"]
    assert "look:v1" == plans[2].machines["node-01"].work[0].document["tasks"][0]["actions"][0]["image"]
    assert plans[1].id != plans[2].id


def test_kernels_that_work_boots_in_are_told_of_insecure_registries_and_others_are_not() -> None:
    images = '  images: {insecureRegistries: ["10.1.0.1:5000", mirror.lab]}\n'
    other = SOUND["profile.yaml"].replace("name: inspect", "name: other")
    profiles = plan_of(compiled(images, None, "quay.io/look:v1", **{"other.yaml": other})).profiles
    assert ("gitboot.insecure_registries=10.1.0.1:5000,mirror.lab", "") == (
        profiles["inspect"].cmdline,
        profiles["other"].cmdline,
    )


def test_what_a_workflow_may_overwrite_reaches_its_work() -> None:
    workflow = SOUND["workflow.yaml"].replace("template: look,", 'template: look, overwrites: [debian-11, "*"],')
    work = plan_of(compiled(PREFIX, None, **{"workflow.yaml": workflow})).machines["node-01"].work[0]
    assert ("debian-11", "*") == work.overwrites


@pytest.mark.parametrize(
    ("image", "environment", "unverified"),
    [
        ("image2disk:v3", "{IMG_URL: 'http://a/b'}", True),
        ("registry.example/hub/qemuimg2disk@sha256:" + "a" * 64, "{}", True),
        ("image2disk:v3", "{IMG_URL: 'http://a/b', IMG_SHA256: '" + "a" * 64 + "'}", False),
        ("image2disk", "{CHECKSUM: 'sha512:" + "a" * 128 + "'}", False),
        ("image2disk", "{IMG_SHA256: ''}", False),
        ("writefile:v3", "{IMG_URL: 'http://a/b'}", False),
    ],
)
@pytest.mark.parametrize(("rule", "severity"), [("", "warning"), ("  artifacts: {unverified: reject}\n", "error")])
@pytest.mark.parametrize("of", ["task", "action"])
def test_a_disk_image_without_a_digest_is_a_problem(
    image: str, environment: str, unverified: bool, rule: str, severity: str, of: str
) -> None:
    action = f"{{name: look, image: {image!r}, timeout: 60{', environment: ' + environment if of == 'action' else ''}}}"
    task = f"- name: t\n      {'environment: ' + environment if of == 'task' else 'volumes: []'}\n      actions: [{action}]"
    template = f"apiVersion: gitboot/v1\nkind: Template\nmetadata: {{name: look}}\nspec:\n  tasks:\n    {task}\n"
    inventory = read({**SOUND, "site.yaml": SOUND["site.yaml"] + rule, "template.yaml": template})
    problems = [each for each in Compiler().compile(inventory).problems if each.code == "unverified-image"]
    assert [severity] * unverified == [each.severity for each in problems]


def test_the_example_inventory_asks_for_no_image_that_is_not_built_here() -> None:
    work = [work for machine in example().plan.machines.values() for work in machine.work]
    asked = {action["image"] for each in work for task in each.document["tasks"] for action in task["actions"]}
    assert {"registry.lab.example/shell:v3", "registry.lab.example/image2disk:v3"} <= asked
    assert asked <= {f"registry.lab.example/{action.name}:v3" for _, action in standard_actions()}
