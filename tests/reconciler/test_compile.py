"""An inventory becomes a plan: the same one whatever came before, with the place of every value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netboot.plan import Artifact, BootPlan, RaspberryPi, load
from reconciler.compile import Compiled, Compiler
from reconciler.problems import Problem
from reconciler.reader import Reader
from tests.effort import examples
from tests.reconciler.inventories import BARE, EXAMPLE, MACHINE, PROFILE, RICH, SITE, SOUND, TEMPLATE, WORKFLOW, example, read
from tests.reconciler.inventories import snapshot as snapshot_of

Files = Mapping[str, str | bytes]


def compiled(files: Files, artifacts: Mapping[str, Artifact] | None = None) -> Compiled:
    return Compiler().compile(read(files), artifacts)


def plan_of(files: Files) -> BootPlan:
    dump = compiled(files).dump
    assert dump is not None
    return dump.plan


def problems(files: Files, artifacts: Mapping[str, Artifact] | None = None) -> list[Problem]:
    found = compiled(files, artifacts)
    assert found.dump is None
    return [problem for problem in found.problems if problem.severity == "error"]


def brief(found: list[Problem]) -> list[str]:
    return [f"{problem.file}:{problem.line} {problem.code} {problem.path}".rstrip() for problem in found]


def swap(path: str, old: str, new: str, files: Files = SOUND) -> dict[str, str | bytes]:
    text = files[path]
    assert isinstance(text, str)
    assert old in text
    return {**files, path: text.replace(old, new)}


# The plan ------------------------------------------------------------------------------------------------------------------


def test_everything_the_inventory_says_is_in_the_plan() -> None:
    plan = plan_of(RICH)
    machine = plan.machines["node-01"]
    assert ("big", "lab.example", "10.1.0.2", "wait", 2700) == (
        plan.site.name, plan.site.domain, plan.site.server, plan.site.unknown, plan.site.boot_timeout,
    )  # fmt: skip
    assert machine.rpi == RaspberryPi("d7bb3e8b", "rpi4", "arm_64bit=1\n")
    assert "APPEND quiet ${gitboot}" in plan.profiles["inspect"].pxelinux
    assert ("192.0.2.53",) == plan.site.upstreams
    assert ("10.1.0.5/32", "192.0.2.0/24") == plan.site.trusted_proxies
    assert ("aarch64", "profile:menu", "sanboot", {"rack": "r1", "unit": "07"}) == (
        machine.arch, machine.idle, machine.handover, machine.labels,
    )  # fmt: skip
    assert [("ab", "10.1.0.11", "rack1"), ("ac", "", "rack2"), ("ad", "10.2.0.5", "rack2")] == [
        (port.mac.removeprefix("52:54:00:12:34:"), port.address, port.subnet) for port in machine.interfaces[:3]
    ]
    assert ["10.2.0.6", "10.2.0.6"] == [port.address for port in machine.interfaces[3:]]
    assert [(True, True), (True, False), (False, True)] == [(port.dhcp, port.netboot) for port in machine.interfaces[:3]]
    assert [("bond0", "802.3ad", 2)] == [(bond.name, bond.mode, len(bond.interfaces)) for bond in machine.bonds]
    assert [0, 0, 42, 0, 0] == [port.vlan for port in machine.interfaces]
    assert [("root", "S3Z9", "480000000000"), ("data", "", ""), ("logs", "", "549755813888")] == [
        (disk.name, disk.serial, disk.size) for disk in machine.disks
    ]
    (work,) = machine.work
    assert ("install", 2, "everyBoot", 3, "shell") == (work.workflow, work.run, work.repeat, work.resets, work.profile)
    assert (2, "poweroff", 900, True) == (work.retry, work.on_failure, work.pending_timeout, work.cancel)
    assert "kexec" == work.document["then"]
    assert ["success", "always"] == [each["if"] for each in work.document["tasks"][0]["actions"]]
    assert ("10.2.0.200", "10.2.0.210") == plan.subnets["rack2"].range
    assert ("inspect/vmlinuz", "console=ttyS0 quiet") == (plan.profiles["inspect"].kernel, plan.profiles["inspect"].cmdline)


@pytest.mark.parametrize(("mode", "unknown"), [("proxy", "ignore"), ("auto-proxy", "wait")])
def test_an_automatic_proxy_lets_strangers_wait(mode: str, unknown: str) -> None:
    site = plan_of(swap("site.yaml", "spec:", f"spec:\n  dhcp: {{mode: {mode}}}")).site
    assert (mode, unknown) == (site.mode, site.unknown)


def test_the_first_interface_bears_the_machine_s_name_unless_it_has_another() -> None:
    named = plan_of(swap("hardware.yaml", ", hostname: node-01}", "}\n  - {mac: '52:54:00:12:34:02', address: 10.1.0.12}"))
    assert ["node-01", ""] == [port.hostname for port in named.machines["node-01"].interfaces]
    assert b"\x0c\x07node-01" in named.machines["node-01"].interfaces[0].options


@pytest.mark.parametrize(
    ("own", "profile", "expected"),
    [("auto", "exit", "exit"), ("sanboot", "exit", "sanboot"), ("auto", None, "auto"), ("no-boot-file", None, "no-boot-file")],
)
def test_a_machine_s_way_to_its_disk_beats_its_profile_s(own: str, profile: str | None, expected: str) -> None:
    files = swap("hardware.yaml", "profile: inspect", f"profile: inspect\n  handover: {own}")
    if profile:
        files = swap("profile.yaml", "inspect/vmlinuz}", f"inspect/vmlinuz, handover: {profile}}}", files)
    assert expected == plan_of(files).machines["node-01"].handover


def test_work_is_in_the_order_of_its_names_and_boots_in_the_workflow_s_profile_or_the_machine_s() -> None:
    more = WORKFLOW.replace("look-at-01", "again").replace("hardware: node-01}", "hardware: node-01, profile: other}")
    files = {**SOUND, "zz.yaml": more, "other.yaml": PROFILE.replace("{name: inspect}", "{name: other}")}
    work = plan_of(files).machines["node-01"].work
    assert [("again", "other"), ("look-at-01", "inspect")] == [(each.workflow, each.profile) for each in work]


def test_a_workflow_by_labels_is_for_every_machine_that_bears_them() -> None:
    second = MACHINE.replace("node-01", "node-02").replace("34:01", "34:02").replace("0.11", "0.12")
    files = swap("workflow.yaml", "hardware: node-01", "hardware: {matchLabels: {rack: r1}}", {**SOUND, "second.yaml": second})
    assert [1, 1] == [len(machine.work) for machine in plan_of(files).machines.values()]


# The id --------------------------------------------------------------------------------------------------------------------


@given(st.permutations(sorted(RICH)))
def test_the_id_does_not_depend_on_how_files_are_named_or_ordered(order: list[str]) -> None:
    renamed = {f"{index:02}-{path.replace('/', '-')}": RICH[path] for index, path in enumerate(order)}
    assert plan_of(RICH).id == plan_of(renamed).id


def test_a_commit_that_changes_only_the_readme_or_a_comment_changes_nothing() -> None:
    compiler, reader = Compiler(), Reader()
    before = step(compiler, reader, SOUND).dump
    after = step(compiler, reader, {**SOUND, "README.md": "words", "hardware.yaml": f"# a comment\n{MACHINE}"}, "2").dump
    assert before is not None
    assert after is not None
    assert (before.plan.id, dict(before.shards)) == (after.plan.id, dict(after.shards))
    assert before.plan.machines["node-01"] is after.plan.machines["node-01"]


def test_a_default_that_somebody_wrote_changes_nothing() -> None:
    said = {
        **SOUND,
        "site.yaml": SITE.replace("spec:", 'spec:\n  dhcp: {mode: reservation}\n  bootTimeout: 30m\n  trust: {commits: "off"}'),
        "hardware.yaml": MACHINE.replace("spec:", "spec:\n  handover: auto\n  idle: disk"),
        "workflow.yaml": WORKFLOW.replace("node-01}", "node-01, repeat: once, onFailure: rescue}"),
    }
    assert plan_of(SOUND).id == plan_of(said).id


def test_one_changed_machine_is_one_changed_shard_and_every_other_machine_is_the_same_object() -> None:
    compiler, reader = Compiler(), Reader()
    files: dict[str, str | bytes] = dict(SOUND)
    for number in range(2, 60):
        files[f"{number}.yaml"] = (
            MACHINE.replace("node-01", f"node-{number:02}")
            .replace("34:01", f"34:{number:02x}")
            .replace("0.11", f"0.{number + 100}")
        )
    before, files["7.yaml"] = step(compiler, reader, files).dump, str(files["7.yaml"]).replace("r1", "r2")
    after = step(compiler, reader, files, "2").dump
    assert before is not None
    assert after is not None
    assert 1 == len(after.shards.keys() - before.shards.keys())
    changed = [name for name, machine in after.plan.machines.items() if machine is not before.plan.machines[name]]
    assert ["node-07"] == changed


# Whatever came before ------------------------------------------------------------------------------------------------------

SECOND = MACHINE.replace("node-01", "node-02").replace("34:01", "34:02").replace("0.11", "0.12")
CHANGES: dict[str, list[str | None]] = {
    "site.yaml": [
        SITE, SITE.replace("10.1.0.1,", "10.1.0.2,"), SITE.replace("spec:", "spec:\n  domain: lab.example"),
        SITE.replace("spec:", "spec:\n  bootTimeout: 5m"), SITE.replace("0.1, range", "0.1, leaseTime: 1h, range"),
        SITE.replace("10.1.200.250", "10.1.200.99"), SITE.replace("name: rack1", "name: rack9"), f"\n\n{SITE}",
    ],
    "hardware.yaml": [
        MACHINE, MACHINE.replace("r1", "r2"), MACHINE.replace("0.11", "0.13"), MACHINE.replace("inspect", "other"),
        MACHINE.replace("34:01", "34:05"), MACHINE.replace("spec:", "spec:\n  idle: wait"), f"# moved down\n{MACHINE}",
    ],
    "second.yaml": [None, SECOND, SECOND.replace("r1", "r2")],
    "moved/second.yaml": [None],
    "profile.yaml": [
        PROFILE, PROFILE.replace("vmlinuz}", "vmlinuz, handover: exit}"),
        PROFILE.replace("vmlinuz}", "vmlinuz, cmdline: quiet}"), PROFILE.replace("vmlinuz", "other"),
    ],
    "other.yaml": [PROFILE.replace("{name: inspect}", "{name: other}")],
    "template.yaml": [
        TEMPLATE, TEMPLATE.replace("timeout: 60", "timeout: 90"), TEMPLATE.replace('"look:v1"', '"look:{{ .tag }}"'),
        TEMPLATE.replace('"look:v1"', '"{{ (index .Hardware.Interfaces 0).DHCP.IP.Gateway }}"'),
        TEMPLATE.replace("    actions:", "    worker: nobody\n    actions:"),
    ],
    "bare.yaml": [BARE, BARE.replace("60", "90")],
    "workflow.yaml": [
        None, WORKFLOW, WORKFLOW.replace("node-01}", "node-01, run: 2}"),
        WORKFLOW.replace("template: look", "template: bare"), WORKFLOW.replace("node-01", "{matchLabels: {rack: r1}}"),
        WORKFLOW.replace("template: look", "template: look, hardwareMap: {tag: v2}"),
        WORKFLOW.replace("template: look", "template: look, profile: other"),
    ],
    "more.yaml": [None, WORKFLOW.replace("look-at-01", "another").replace("template: look", "template: bare")],
}  # fmt: skip
ARTIFACTS = {name: Artifact(name, "a" * 64, 1) for name in ("inspect/vmlinuz", "inspect/other")}
FOUND = [None, ARTIFACTS, {**ARTIFACTS, "inspect/vmlinuz": Artifact("inspect/vmlinuz", "b" * 64, 2)}, {}]


def step(compiler: Compiler, reader: Reader, files: Files, revision: str = "1", artifacts: Any = None) -> Compiled:
    inventory, found = reader.read(snapshot_of(files, revision))
    assert inventory is not None, found
    return compiler.compile(inventory, artifacts)


EDITS = st.sampled_from([(path, text) for path, texts in CHANGES.items() for text in texts])
"""One file as it is after a commit; None: it is gone. Nearly every commit changes little, which is what is remembered."""


def essence(found: Compiled) -> Any:
    """All of a result, as bytes where it has bytes."""
    provenance = (found.provenance.buckets, dict(found.provenance.shards), found.provenance.machines)
    dump = (found.dump.plan.id, found.dump.manifest, dict(found.dump.shards)) if found.dump else None
    return dump, provenance, found.problems


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(EDITS, st.sampled_from(FOUND)), min_size=1, max_size=8))
def test_a_compile_after_any_history_is_the_compile_without_one(history: list[tuple[tuple[str, str | None], Any]]) -> None:
    compiler, reader = Compiler(), Reader()
    files: dict[str, str] = {path: text for path, texts in CHANGES.items() if (text := texts[-1 if path == "more.yaml" else 0])}
    files["workflow.yaml"] = WORKFLOW
    step(compiler, reader, files)
    for number, ((path, text), artifacts) in enumerate(history):
        files = {**files, path: text or ""}
        if text is None:
            del files[path]
        inventory, _ = reader.read(snapshot_of(files, str(number)))
        again, _ = Reader().read(snapshot_of(files, str(number)))
        assert (inventory is None) == (again is None)
        if inventory is None or again is None:
            continue
        incremental = compiler.compile(inventory, artifacts)
        assert essence(Compiler().compile(again, artifacts)) == essence(incremental)
        if incremental.dump is not None:
            loaded = load(incremental.dump.manifest, incremental.dump.shards.__getitem__)
            assert loaded.machines == incremental.dump.plan.machines


def test_a_value_of_the_hardware_map_that_changes_is_rendered() -> None:
    compiler, reader = Compiler(), Reader()
    files = swap("template.yaml", "look:v1", "look:{{ .tag }}")
    for tag in ("v1", "v2"):
        dump = step(compiler, reader, swap("workflow.yaml", "look,", f"look, hardwareMap: {{tag: {tag}}},", files), tag).dump
        assert dump is not None
        assert f"look:{tag}" == dump.plan.machines["node-01"].work[0].document["tasks"][0]["actions"][0]["image"]


def test_an_unchanged_machine_is_the_identical_object_also_after_a_rejected_commit() -> None:
    compiler, reader = Compiler(), Reader()
    first = step(compiler, reader, SOUND).dump
    broken = swap("template.yaml", "look:v1", "{{ .nope }}")
    assert step(compiler, reader, broken, "2").dump is None
    second = step(compiler, reader, SOUND, "3")
    assert first is not None
    assert second.dump is not None
    assert first.plan.shards == second.dump.plan.shards
    assert second.provenance.shards.keys() == set(second.provenance.buckets.values())


# Rejected ------------------------------------------------------------------------------------------------------------------


def test_a_missing_artefact_rejects_at_the_line_that_names_it_and_only_where_the_folder_is_known() -> None:
    files = swap(
        "profile.yaml", "spec: {kernel: inspect/vmlinuz}", "spec:\n  kernel: inspect/vmlinuz\n  initrd:\n  - a.img\n  - b.img"
    )
    found = {"inspect/vmlinuz": Artifact("inspect/vmlinuz", "a" * 64, 1), "a.img": Artifact("a.img", "a" * 64, 1)}
    assert ["profile.yaml:8 missing-artifact spec.initrd[1]"] == brief(problems(files, found))
    assert compiled(files).dump is not None


def test_where_the_in_memory_os_is_missing_one_is_told_how_to_build_it() -> None:
    files = swap("profile.yaml", "kernel: inspect/vmlinuz", "kernel: os/amd64/vmlinuz")
    (problem,) = problems(files, {})
    assert "`gitboot os build --out DIR` makes" in problem.message


URL = "https://images.example/vmlinuz"


def test_a_url_that_one_profile_verifies_is_verified_for_all() -> None:
    verified = PROFILE.replace("inspect/vmlinuz", f'{{url: "{URL}", sha256: {"a" * 64}}}')
    unverified = verified.replace("{name: inspect}", "{name: other}").replace(f", sha256: {'a' * 64}", "")
    for other in ("aa.yaml", "zz.yaml"):
        assert {URL: Artifact(URL, "a" * 64)} == plan_of({**SOUND, "profile.yaml": verified, other: unverified}).artifacts
    assert {URL: Artifact(URL, url=URL)} == plan_of(
        {**SOUND, "profile.yaml": unverified.replace("{name: other}", "{name: inspect}")}
    ).artifacts


def test_one_url_with_two_digests_rejects() -> None:
    verified = PROFILE.replace("inspect/vmlinuz", f'{{url: "{URL}", sha256: {"a" * 64}}}')
    files = {**SOUND, "profile.yaml": verified, "zz.yaml": verified.replace("a" * 64, "b" * 64).replace("inspect", "other")}
    (problem,) = problems(files)
    assert ("zz.yaml", 4, "bad-value") == (problem.file, problem.line, problem.code)
    assert "in profile.yaml:4:" in problem.message


def test_a_command_line_that_ipxe_would_cut_rejects() -> None:
    files = swap("profile.yaml", "inspect/vmlinuz}", 'inspect/vmlinuz, cmdline: "quiet || panic=5"}')
    (problem,) = problems(files)
    assert ["profile.yaml:4 bad-value spec.cmdline"] == brief([problem])
    assert "No kernel would see all of this: iPXE takes '||' for the end of the command. Write it without." == problem.message


# Where values come from ----------------------------------------------------------------------------------------------------

WRITTEN = {
    "name": "node-03", "labels.rack": "r1", "labels.role": "storage", "profile": "inspect", "disks[0]": "/dev/vda",
    "interfaces[0].mac": "52:54:00:12:34:03", "interfaces[0].address": "10.1.0.13", "interfaces[0].hostname": "node-03",
    "interfaces[0].subnet": "rack1", "interfaces[0].gateway": "10.1.0.1", "interfaces[0].nameServers": "10.1.0.1",
    "interfaces[0].leaseTime": "24h", "interfaces[0].domain": "lab.example",
    "work[burn-in-storage].run": "run: 1", "work[burn-in-storage].resets": "resets: 1",
    "work[burn-in-storage].hardwareMap.rounds": 'rounds: "3"', "work[burn-in-storage].profile": "profile: inspect",
}  # fmt: skip
DEFAULTS = {
    "arch",
    "idle",
    "handover",
    "loader",
    "interfaces[0].vlan",
    "interfaces[0].dhcp",
    "interfaces[0].netboot",
    "interfaces[0].timeServers",
}
DOCUMENTS = {f"work[burn-in-storage]{name}" for name in ("", ".repeat", ".template", ".overwrites")}


def test_every_value_of_the_example_has_the_line_it_was_written_on() -> None:
    places = compiled(example()).provenance.machines["node-03"]
    assert WRITTEN.keys() | DEFAULTS | DOCUMENTS == places.keys()
    for value, text in WRITTEN.items():
        file, line = places[value]
        assert text in (EXAMPLE / file).read_text().splitlines()[line - 1], value
    assert {("hardware/node-03.yaml", 7)} == {places[value] for value in ("arch", "idle", "handover")}
    assert {("hardware/node-03.yaml", 9)} == {places[f"interfaces[0].{name}"] for name in ("dhcp", "netboot", "vlan")}
    assert ("workflows/burn-in.yaml", 2) == places["work[burn-in-storage]"]
    assert "templates/burn-in.yaml" == places["work[burn-in-storage].template"][0]


def test_an_interface_s_own_setting_beats_its_subnet_s_and_that_the_site_s() -> None:
    places = compiled(RICH).provenance.machines["node-01"]
    lines = str(RICH["machines/a.yml"]).splitlines(), str(RICH["all.yaml"]).splitlines()
    for name, text in {
        "gateway": "10.1.0.3",
        "leaseTime": "600",
        "domain": "special",
        "nameServers": "[]",
        "options.root-path": "srv",
    }.items():
        file, line = places[f"interfaces[0].{name}"]
        assert ("machines/a.yml", True) == (file, text in lines[0][line - 1]), name
    for name, text in {"timeServers": "timeServers", "options.log-servers": "log-servers", "options.119": "119"}.items():
        file, line = places[f"interfaces[0].{name}"]
        assert ("all.yaml", True) == (file, text in lines[1][line - 1]), name


def test_the_address_of_a_port_in_a_bond_is_written_at_the_bond() -> None:
    places = compiled(RICH).provenance.machines["node-01"]
    lines = {places[value][1] for value in ("interfaces[3].address", "interfaces[4].address", "bonds[0]")}
    assert ["bond0"] == [str(RICH["machines/a.yml"]).splitlines()[line - 1].split()[2].rstrip(",") for line in lines]


def test_metadata_has_the_place_of_who_says_it() -> None:
    places = compiled(RICH).provenance.machines["node-01"]
    lines = str(RICH["machines/a.yml"]).splitlines()
    for value, text in {"metadata.publicKeys": " own", "userData": "userData", "vendorData": '""'}.items():
        file, line = places[value]
        assert ("machines/a.yml", True) == (file, text in lines[line - 1]), value
    assert "userData" not in compiled(SOUND).provenance.machines["node-01"]


def test_a_domain_that_a_subnet_says_is_not_the_site_s() -> None:
    file, line = compiled(RICH).provenance.machines["node-01"]["interfaces[1].domain"]
    assert "domain: rack1.lab.example" in str(RICH[file]).splitlines()[line - 1]


def test_a_way_to_the_disk_that_the_profile_decides_has_the_profile_s_line() -> None:
    files = swap("profile.yaml", "inspect/vmlinuz}", "inspect/vmlinuz,\n  handover: exit}")
    assert ("profile.yaml", 5) == compiled(files).provenance.machines["node-01"]["handover"]


def test_provenance_is_stored_in_parts_that_unchanged_machines_share() -> None:
    compiler, reader = Compiler(), Reader()
    before = step(compiler, reader, {**SOUND, "second.yaml": SECOND}).provenance
    after = step(compiler, reader, {**SOUND, "second.yaml": f"\n{SECOND}"}, "2").provenance
    assert 1 == len(after.shards.keys() - before.shards.keys())
    stored = {name: places for data in after.shards.values() for name, places in json.loads(data).items()}
    assert {"node-01", "node-02"} == stored.keys()
    assert ["second.yaml", 8] == stored["node-02"]["interfaces[0].mac"]
