"""What is wrong with an inventory is said completely, once, and where it is: one case for each reason."""

from __future__ import annotations

import pytest

from tests.reconciler.inventories import BARE, MACHINE, PROFILE, SITE, SOUND, problems

Files = dict[str, str]


def edit(file: str, old: str, new: str) -> Files:
    """The sound inventory with one text in one file replaced."""
    assert old in SOUND[file], f"{old!r} is not in {file}"
    return {**SOUND, file: SOUND[file].replace(old, new, 1)}


def add(text: str, file: str = "zz.yaml") -> Files:
    """The sound inventory with one more file."""
    return {**SOUND, file: text}


def machine(name: str, mac: str = "52:54:00:12:34:02", **fields: str) -> str:
    """One more machine, with these fields of its interface as written."""
    port = ", ".join(f"{field}: {value}" for field, value in fields.items())
    return MACHINE.split("spec:")[0].replace("node-01", name) + f"spec:\n  interfaces:\n  - {{mac: {mac}, {port}}}\n"


SUBNET = "{name: rack1, cidr: 10.1.0.0/16, gateway: 10.1.0.1, range: [10.1.200.1, 10.1.200.250]}"
TWO_SUBNETS = f"{SUBNET}\n  - {{name: rack2, cidr: 10.2.0.0/24}}"

CASES: dict[str, tuple[Files, list[str]]] = {
    # the tree
    "no Site": (
        {file: text for file, text in SOUND.items() if file != "site.yaml"},
        [":0:0 missing-site"],
    ),
    "two Sites": (add(SITE.replace("home", "other")), ["zz.yaml:1:1 second-site"]),
    "a file that is no YAML": (add("a: [\n"), ["zz.yaml:2:1 yaml-syntax"]),
    "a key twice": (edit("profile.yaml", "spec: {", "spec: {kernel: a, "), ["profile.yaml:4:19 duplicate-key spec.kernel"]),
    # not ours, and nearly ours
    "a document of something else": (add("services: {web: {image: nginx}}"), ["zz.yaml:1:1 not-gitboot"]),
    "a list": (add("- a\n- b\n"), ["zz.yaml:1:1 not-gitboot"]),
    "another format version": (add("apiVersion: gitboot/v2\nkind: Site\n"), ["zz.yaml:1:13 unknown-api-version apiVersion"]),
    "somebody else's format": (add("apiVersion: apps/v1\nkind: Deployment\n"), ["zz.yaml:1:13 unknown-api-version apiVersion"]),
    "a format that is no text": (add("apiVersion: [x]\nkind: Site\n"), ["zz.yaml:1:13 unknown-api-version apiVersion"]),
    "no format": (add("kind: Site\n"), ["zz.yaml:1:1 missing-field"]),
    "no kind": (add("apiVersion: gitboot/v1\n"), ["zz.yaml:1:1 missing-field"]),
    "a misspelt kind": (add("apiVersion: gitboot/v1\nkind: Hardwere\n"), ["zz.yaml:2:7 unknown-kind kind"]),
    "a kind that is no text": (add("apiVersion: gitboot/v1\nkind: {a: b}\n"), ["zz.yaml:2:7 unknown-kind kind"]),
    # shape
    "an unknown field": (
        edit("hardware.yaml", "hostname", "hostnam"),
        ["hardware.yaml:7:52 unknown-field spec.interfaces[0].hostnam"],
    ),
    "a missing field": (
        edit("hardware.yaml", 'mac: "52:54:00:12:34:01", ', ""),
        ["hardware.yaml:7:5 missing-field spec.interfaces[0]"],
    ),
    "nothing where a map should be": (
        add("apiVersion: gitboot/v1\nkind: Profile\nmetadata: {name: x}\nspec:\n"),
        ["zz.yaml:4:6 wrong-type spec"],
    ),
    "text where a list should be": (
        edit("site.yaml", "[10.1.200.1, 10.1.200.250]", "10.1.200.1"),
        ["site.yaml:6:64 wrong-type spec.subnets[0].range"],
    ),
    "a range of three": (
        edit("site.yaml", "10.1.200.250]", "10.1.200.250, 10.1.200.251]"),
        ["site.yaml:6:64 bad-value spec.subnets[0].range"],
    ),
    "a value that is none of the choices": (
        edit("workflow.yaml", "hardware: node-01", "hardware: node-01, repeat: everyboot"),
        ["workflow.yaml:4:51 bad-value spec.repeat"],
    ),
    "a number that is too small": (
        edit("workflow.yaml", "hardware: node-01", "hardware: node-01, run: 0"),
        ["workflow.yaml:4:48 bad-value spec.run"],
    ),
    "a truth value where a number should be": (
        edit("workflow.yaml", "hardware: node-01", "hardware: node-01, run: true"),
        ["workflow.yaml:4:48 wrong-type spec.run"],
    ),
    "a selector without labels": (
        edit("workflow.yaml", "hardware: node-01", "hardware: {matchLabels: {}}"),
        ["workflow.yaml:4:48 bad-value spec.hardware.matchLabels"],
    ),
    "a MAC that is none": (
        edit("hardware.yaml", '"52:54:00:12:34:01"', "52:54:00:12:34"),
        ["hardware.yaml:7:11 bad-value spec.interfaces[0].mac"],
    ),
    "an address that is none": (
        edit("hardware.yaml", "10.1.0.11", "10.1.0.256"),
        ["hardware.yaml:7:41 bad-value spec.interfaces[0].address"],
    ),
    "a network with host bits": (
        edit("site.yaml", "10.1.0.0/16", "10.1.0.1/16"),
        ["site.yaml:6:25 bad-value spec.subnets[0].cidr"],
    ),
    "a duration that is none": (
        edit("site.yaml", "spec:", "spec:\n  bootTimeout: soon"),
        ["site.yaml:5:16 bad-value spec.bootTimeout"],
    ),
    "a name with capitals": (
        edit("profile.yaml", "name: inspect", "name: Inspect"),
        ["hardware.yaml:5:12 unknown-reference spec.profile", "profile.yaml:3:18 bad-value metadata.name"],
    ),
    "a disk that nothing tells": (
        edit("hardware.yaml", "spec:", "spec:\n  disks: [{name: root}]"),
        ["hardware.yaml:5:11 missing-field spec.disks[0]"],
    ),
    "two disks of one name": (
        edit("hardware.yaml", "spec:", "spec:\n  disks: [{name: a, size: 1G}, {name: a, size: 2G}]"),
        ["hardware.yaml:5:39 duplicate-name spec.disks[1].name"],
    ),
    "a profile that boots nothing": (
        edit("profile.yaml", "kernel: inspect/vmlinuz", ""),
        ["profile.yaml:4:7 missing-field spec"],
    ),
    "a profile that boots two things": (
        edit("profile.yaml", "kernel:", "chain: 'http://x/', kernel:"),
        ["profile.yaml:4:8 conflicting-fields spec.chain"],
    ),
    "a command line without a kernel": (
        edit("profile.yaml", "kernel: inspect/vmlinuz", "chain: 'http://x/', cmdline: a"),
        ["profile.yaml:4:28 conflicting-fields spec.cmdline"],
    ),
    "an artefact outside its folder": (
        edit("profile.yaml", "inspect/vmlinuz", "../vmlinuz"),
        ["profile.yaml:4:16 bad-value spec.kernel"],
    ),
    # DHCP options
    "an option that is not known": (
        edit("hardware.yaml", "hostname:", "options: {root-paht: x}, hostname:"),
        ["hardware.yaml:7:73 bad-option spec.interfaces[0].options.root-paht"],
    ),
    "an option of the wrong kind": (
        edit("site.yaml", "gateway:", "options: {42: x}, gateway:"),
        ["site.yaml:6:52 bad-option spec.subnets[0].options.42"],
    ),
    "an option by number and by name": (
        edit("hardware.yaml", "hostname:", "options: {17: x, root-path: y}, hostname:"),
        ["hardware.yaml:7:69 duplicate-option spec.interfaces[0].options.root-path"],
    ),
    # names and references
    "a name twice": (add(PROFILE), ["zz.yaml:3:18 duplicate-name metadata.name"]),
    "a bare template's name twice": ({**SOUND, "a.yaml": BARE, "b.yaml": BARE}, ["b.yaml:2:7 duplicate-name name"]),
    "a profile that is not there": (
        edit("hardware.yaml", "profile: inspect", "profile: inspct"),
        ["hardware.yaml:5:12 unknown-reference spec.profile"],
    ),
    "an idle profile that is not there": (
        edit("hardware.yaml", "profile: inspect", "profile: inspect\n  idle: profile:x"),
        ["hardware.yaml:6:9 unknown-reference spec.idle"],
    ),
    "a template that is not there": (
        edit("workflow.yaml", "template: look", "template: loook"),
        ["workflow.yaml:4:18 unknown-reference spec.template"],
    ),
    "a machine that is not there": (
        edit("workflow.yaml", "hardware: node-01", "hardware: node-1"),
        ["workflow.yaml:4:34 unknown-reference spec.hardware"],
    ),
    "a workflow's profile that is not there": (
        edit("workflow.yaml", "template:", "profile: x, template:"),
        ["workflow.yaml:4:17 unknown-reference spec.profile"],
    ),
    "a subnet that is not there": (
        edit("hardware.yaml", "hostname:", "subnet: rack, hostname:"),
        ["hardware.yaml:7:60 unknown-reference spec.interfaces[0].subnet"],
    ),
    "labels that no machine bears": (
        edit("workflow.yaml", "hardware: node-01", "hardware: {matchLabels: {rack: r2}}"),
        ["workflow.yaml:4:48 empty-selection spec.hardware.matchLabels"],
    ),
    "work with nothing to boot it in": (
        edit("hardware.yaml", "  profile: inspect\n", ""),
        ["workflow.yaml:4:34 no-profile spec.hardware"],
    ),
    # ports
    "a MAC twice": (
        add(machine("node-02", '"52:54:00:12:34:01"', address="10.1.0.12")),
        ["zz.yaml:6:11 duplicate-mac spec.interfaces[0].mac"],
    ),
    "a MAC twice, in two notations": (
        add(machine("node-02", "5254.0012.3401", address="10.1.0.12")),
        ["zz.yaml:6:11 duplicate-mac spec.interfaces[0].mac"],
    ),
    "a MAC twice in one machine": (
        edit("hardware.yaml", "  - {", "  - {mac: 52-54-00-12-34-01, address: 10.1.0.12}\n  - {"),
        ["hardware.yaml:8:11 duplicate-mac spec.interfaces[1].mac"],
    ),
    "a Raspberry Pi's serial number twice": (
        {
            **edit("hardware.yaml", "spec:", 'spec:\n  rpi: {serial: "10000000d7bb3e8b"}'),
            "zz.yaml": machine("node-02", '"52:54:00:12:34:02"', address="10.1.0.12").replace(
                "spec:", 'spec:\n  rpi: {serial: "d7bb3e8b"}'
            ),
        },
        ["zz.yaml:5:17 duplicate-serial spec.rpi.serial"],
    ),
    "an address twice": (
        add(machine("node-02", address="10.1.0.11")),
        ["zz.yaml:6:39 duplicate-address spec.interfaces[0].address"],
    ),
    "the server's address": (
        edit("site.yaml", "spec:", "spec:\n  server: 10.1.0.11"),
        ["hardware.yaml:7:41 duplicate-address spec.interfaces[0].address"],
    ),
    "a host name twice": (
        add(machine("node-02", address="10.1.0.12", hostname="NODE-01")),
        ["zz.yaml:6:60 duplicate-hostname spec.interfaces[0].hostname"],
    ),
    # addresses
    "no subnet at all": (edit("site.yaml", f"  subnets:\n  - {SUBNET}", "  domain: x"), ["site.yaml:5:3 no-subnet spec"]),
    "an address in no subnet": (
        edit("hardware.yaml", "10.1.0.11", "10.9.0.11"),
        ["hardware.yaml:7:41 address-outside-subnet spec.interfaces[0].address"],
    ),
    "an address outside the subnet that is named": (
        {**edit("hardware.yaml", "hostname:", "subnet: rack2, hostname:"), "site.yaml": SITE.replace(SUBNET, TWO_SUBNETS)},
        ["hardware.yaml:7:41 address-outside-subnet spec.interfaces[0].address"],
    ),
    "the gateway's address": (
        edit("hardware.yaml", "10.1.0.11", "10.1.0.1"),
        ["hardware.yaml:7:41 address-reserved spec.interfaces[0].address"],
    ),
    "the network's address": (
        edit("hardware.yaml", "10.1.0.11", "10.1.0.0"),
        ["hardware.yaml:7:41 address-reserved spec.interfaces[0].address"],
    ),
    "the broadcast address": (
        edit("hardware.yaml", "10.1.0.11", "10.1.255.255"),
        ["hardware.yaml:7:41 address-reserved spec.interfaces[0].address"],
    ),
    "an address in the range": (
        edit("hardware.yaml", "10.1.0.11", "10.1.200.250"),
        ["hardware.yaml:7:41 address-in-range spec.interfaces[0].address"],
    ),
    "a port's gateway outside its subnet": (
        edit("hardware.yaml", "hostname:", "gateway: 10.2.0.1, hostname:"),
        ["hardware.yaml:7:61 gateway-outside-subnet spec.interfaces[0].gateway"],
    ),
    "a port without an address where there is no range": (
        {
            **edit("hardware.yaml", "address: 10.1.0.11, ", ""),
            "site.yaml": SITE.replace(", range: [10.1.200.1, 10.1.200.250]", ""),
        },
        ["hardware.yaml:7:5 no-address spec.interfaces[0]"],
    ),
    "a port that may be in either subnet": (
        {**edit("hardware.yaml", "address: 10.1.0.11, ", ""), "site.yaml": SITE.replace(SUBNET, TWO_SUBNETS)},
        ["hardware.yaml:7:5 ambiguous-subnet spec.interfaces[0]"],
    ),
    # the site's networks
    "subnets that overlap": (
        edit("site.yaml", SUBNET, f"{SUBNET}\n  - {{name: b, cidr: 10.1.7.0/24}}"),
        ["site.yaml:7:21 overlapping-subnets spec.subnets[1].cidr"],
    ),
    "a subnet name twice": (
        edit("site.yaml", SUBNET, f"{SUBNET}\n  - {{name: rack1, cidr: 10.2.0.0/24}}"),
        ["site.yaml:7:12 duplicate-name spec.subnets[1].name"],
    ),
    "a gateway outside its subnet": (
        edit("site.yaml", "gateway: 10.1.0.1", "gateway: 10.2.0.1"),
        ["site.yaml:6:47 gateway-outside-subnet spec.subnets[0].gateway"],
    ),
    "a gateway with the broadcast address": (
        edit("site.yaml", "gateway: 10.1.0.1", "gateway: 10.1.255.255"),
        ["site.yaml:6:47 address-reserved spec.subnets[0].gateway"],
    ),
    "a range outside its subnet": (
        edit("site.yaml", "10.1.200.250", "10.2.200.250"),
        ["site.yaml:6:64 range-outside-subnet spec.subnets[0].range"],
    ),
    "a range that ends before it begins": (
        edit("site.yaml", "10.1.200.250", "10.1.100.1"),
        ["site.yaml:6:64 bad-range spec.subnets[0].range"],
    ),
    "a range with the gateway in it": (
        edit("site.yaml", "10.1.200.1,", "10.1.0.1,"),
        [
            "hardware.yaml:7:41 address-in-range spec.interfaces[0].address",
            "site.yaml:6:64 address-in-range spec.subnets[0].range",
        ],
    ),
    "a range with the server in it": (
        edit("site.yaml", "spec:", "spec:\n  server: 10.1.200.7"),
        ["site.yaml:7:64 address-in-range spec.subnets[0].range"],
    ),
    "waiting without a range": (
        edit("site.yaml", ", range: [10.1.200.1, 10.1.200.250]}", "}\n  unknown: wait"),
        ["site.yaml:7:12 wait-without-range spec.unknown"],
    ),
    # artefacts
    "a URL without a digest": (
        edit("profile.yaml", "kernel: inspect/vmlinuz", "kernel: {url: 'http://x/y'}"),
        ["profile.yaml:4:16 unverified-artifact spec.kernel"],
    ),
    # templates
    "a template without tasks": (
        edit("template.yaml", "  tasks:", "  tasks: []\n  x:"),
        ["template.yaml:5:10 bad-value spec.tasks", "template.yaml:6:3 unknown-field spec.x"],
    ),
    "two tasks of one name": (add(BARE + BARE[BARE.index("- name: look") :]), []),
    "two actions of one name": (
        edit("template.yaml", "    - {", "    - {name: look, image: a, timeout: 1}\n    - {"),
        ["template.yaml:9:14 duplicate-name spec.tasks[0].actions[1].name"],
    ),
    "a template that cannot be parsed": (
        edit("template.yaml", "timeout: 60", 'timeout: "{{ if }}"'),
        ["template.yaml:8:47 template-syntax spec.tasks[0].actions[0].timeout"],
    ),
    "a bare template that cannot be parsed": (add(BARE.replace(".device_1", "if")), ["zz.yaml:5:18 template-syntax"]),
    "a bare template without a name": (add(BARE.replace("name: bare", "id: bare")), ["zz.yaml:1:1 missing-field"]),
    "a bare template whose name is a template": (
        add(BARE.replace("name: bare", 'name: "{{ .x }}"')),
        ["zz.yaml:1:1 missing-field"],
    ),
    "a bare template without expressions and tasks": (
        add('version: "0.1"\nname: x\ntasks: []\n'),
        ["zz.yaml:3:8 bad-value tasks"],
    ),
    "a text template that cannot be parsed": (
        add("apiVersion: gitboot/v1\nkind: Template\nmetadata: {name: x}\nspec:\n  data: |\n    a: 1\n    b: {{ end }}\n"),
        ["zz.yaml:7:8 template-syntax spec.data"],
    ),
}


def lines(files: Files) -> list[str]:
    return [f"{each.file}:{each.line}:{each.column} {each.code} {each.path}".rstrip() for each in problems(files)]


@pytest.mark.parametrize("reason", CASES)
def test_what_is_wrong_is_said_where_it_is_and_nothing_else(reason: str) -> None:
    files, expected = CASES[reason]
    assert lines(files) == expected
