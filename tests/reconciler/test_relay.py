"""Workflows whose tasks are for several machines: each machine gets its part, and what nobody could do is an error."""

from __future__ import annotations

import pytest

from netboot.plan import BootPlan
from netboot.work import Before
from reconciler.compile import Compiler
from reconciler.problems import Problem
from tests.reconciler.inventories import BARE, MACHINE, SOUND, TEMPLATE, read

SECOND = MACHINE.replace("node-01", "node-02").replace("34:01", "34:02").replace("0.11", "0.12")
TASKS = """\
apiVersion: gitboot/v1
kind: Template
metadata: {name: look}
spec:
  tasks:
"""
ACTIONS = '    actions: [{name: look, image: "look:v1", timeout: 60}]\n'


def template(*workers: str) -> str:
    """A task for each worker, named a, b, c."""
    tasks = (f'  - name: {"abcdef"[n]}\n    worker: "{worker}"\n{ACTIONS}' for n, worker in enumerate(workers))
    return TASKS + "".join(tasks)


def files(text: str, **more: str) -> dict[str, str | bytes]:
    return {**SOUND, "second.yaml": SECOND, "template.yaml": text, **{f"{name}.yaml": each for name, each in more.items()}}


def plan(text: str, **more: str) -> BootPlan:
    compiled = Compiler().compile(read(files(text, **more)))
    assert compiled.dump is not None, compiled.problems
    return compiled.dump.plan


def problems(text: str, **more: str) -> list[Problem]:
    compiled = Compiler().compile(read(files(text, **more)))
    assert compiled.dump is None
    return [problem for problem in compiled.problems if problem.severity == "error"]


def parts(served: BootPlan, name: str) -> list[tuple[int, list[str], Before | None]]:
    return [(work.part, [task["name"] for task in work.document["tasks"]], work.before) for work in served.machines[name].work]


@pytest.mark.parametrize("worker", ["node-02", "52:54:00:12:34:02", "525400123402"])
def test_a_machine_gets_the_tasks_that_are_for_it_by_name_or_by_mac(worker: str) -> None:
    served = plan(template("{{ .device_1 }}", worker))
    assert [(0, ["a"], None)] == parts(served, "node-01")
    assert [(1, ["b"], Before("node-01", ("52:54:00:12:34:01",), 0, "a"))] == parts(served, "node-02")
    assert {"inspect"} == {work.profile for machine in served.machines.values() for work in machine.work}


def test_tasks_in_a_row_on_one_machine_are_one_part_and_a_machine_may_have_several() -> None:
    served = plan(template("node-01", "node-01", "node-02", "node-01"))
    first, second = served.machines["node-01"].macs, served.machines["node-02"].macs
    assert [(0, ["a", "b"], None), (2, ["d"], Before("node-02", second, 1, "c"))] == parts(served, "node-01")
    assert [(1, ["c"], Before("node-01", first, 0, "b"))] == parts(served, "node-02")


def test_the_machine_that_the_workflow_is_for_need_not_have_a_task() -> None:
    served = plan(template("node-02"))
    assert ([], [(0, ["a"], None)]) == (parts(served, "node-01"), parts(served, "node-02"))


def test_a_part_stands_among_the_machine_s_other_work_in_order_of_name() -> None:
    other = "apiVersion: gitboot/v1\nkind: Workflow\nmetadata: {{name: {}}}\nspec: {{template: other, hardware: node-02}}\n"
    more = {
        "other": TEMPLATE.replace("name: look}", "name: other}", 1),
        "before": other.format("early"),
        "after": other.format("zz"),
    }
    served = plan(template("node-01", "node-02"), **more)
    assert ["early", "look-at-01", "zz"] == [work.workflow for work in served.machines["node-02"].work]


def test_a_machine_that_left_git_takes_its_part_with_it_though_nothing_else_changed() -> None:
    compiler = Compiler()
    inventory = read(files(template("node-01", "node-02")))
    assert compiler.compile(inventory).dump is not None
    without = files(template("node-01", "node-02"))
    del without["second.yaml"]
    assert "foreign-worker" in [problem.code for problem in compiler.compile(read(without)).problems]


@pytest.mark.parametrize("worker", ["node-09", "52:54:00:12:34:99"])
def test_a_task_for_a_machine_that_is_not_in_git_rejects_at_its_line(worker: str) -> None:
    (problem,) = problems(template("node-01", worker))
    assert ("template.yaml", 10, "foreign-worker", "spec.tasks[1].worker") == (
        problem.file, problem.line, problem.code, problem.path,
    )  # fmt: skip
    assert "which no Hardware is" in problem.message


def test_a_workflow_for_many_machines_has_tasks_for_none_but_each() -> None:
    many = SOUND["workflow.yaml"].replace("hardware: node-01", "hardware: {matchLabels: {rack: r1}}")
    assert {"foreign-worker"} == {problem.code for problem in problems(template("node-02"), workflow=many)}
    assert "{{ .device_1 }}" in problems(template("node-02"), workflow=many)[0].message


def test_a_device_1_that_is_another_machine_s_is_the_workflow_s_slip() -> None:
    mapped = SOUND["workflow.yaml"].replace(
        "hardware: node-01", 'hardware: {matchLabels: {rack: r1}}, hardwareMap: {device_1: "52:54:00:12:34:99"}'
    )
    found = problems(template("{{ .device_1 }}"), workflow=mapped)
    assert "take device_1 out of the workflow's hardwareMap" in found[0].message


def test_work_of_every_boot_and_machines_without_a_profile_take_no_part() -> None:
    every = SOUND["workflow.yaml"].replace("hardware: node-01", "hardware: node-01, repeat: everyBoot")
    assert "`repeat: everyBoot` is for one machine" in problems(template("node-01", "node-02"), workflow=every)[0].message
    bare = SECOND.replace("  profile: inspect\n", "")
    assert "which has no profile to boot in" in problems(template("node-01", "node-02"), second=bare)[0].message


def test_a_bare_template_for_a_machine_that_is_not_in_git_rejects_at_its_file() -> None:
    work = SOUND["workflow.yaml"].replace("template: look", "template: bare")
    (problem,) = problems(BARE.replace("{{ .device_1 }}", "node-09"), workflow=work)
    assert ("template.yaml", "foreign-worker", "") == (problem.file, problem.code, problem.path)
