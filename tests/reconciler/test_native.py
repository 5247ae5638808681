"""A document of the native format gives an object with every value parsed and every default applied."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from reconciler.inventory import ArtifactRef, Bond, Disk, Interface, Place
from tests.reconciler.inventories import MACHINE, PROFILE, RICH, SITE, SOUND, example, read


def test_a_site_that_says_little_gets_the_defaults() -> None:
    site = read(SOUND).site
    assert (None, None, "reservation", "ignore") == (site.domain, site.server, site.dhcp_mode, site.unknown)
    assert ("warn", 1800) == (site.unverified, site.boot_timeout)
    assert ((), (), 86400, None, {}) == (
        site.subnets[0].name_servers,
        site.subnets[0].time_servers,
        site.subnets[0].lease_time,
        site.subnets[0].domain,
        site.subnets[0].options,
    )


def test_a_subnet_is_in_the_sites_domain_unless_it_has_its_own() -> None:
    site = read({**SOUND, "site.yaml": SITE.replace("spec:", "spec:\n  domain: Lab.Example.")}).site
    assert site.subnets[0].domain == "lab.example"
    assert read(RICH).site.subnets[0].domain == "rack1.lab.example"


def test_a_machine_that_says_little_gets_the_defaults() -> None:
    machine = read(SOUND).hardware["node-01"]
    assert ("x86_64", "disk", None, "auto", ()) == (
        machine.arch,
        machine.idle,
        machine.idle_profile,
        machine.handover,
        machine.disks,
    )
    expected = Interface(
        "52:54:00:12:34:01", IPv4Address("10.1.0.11"), "node-01", None, None, None, None, None, {}, True, True, vlan=0
    )
    assert (expected,) == machine.interfaces


def test_every_field_of_a_machine_arrives_in_its_normal_form() -> None:
    machine = read(RICH).hardware["node-01"]
    assert {"rack": "r1", "unit": "07"} == machine.labels
    assert ("aarch64", "inspect", "profile", "menu", "sanboot") == (
        machine.arch,
        machine.profile,
        machine.idle,
        machine.idle_profile,
        machine.handover,
    )
    assert ["ab", "ac", "ad", "ae", "af"] == [port.mac.removeprefix("52:54:00:12:34:") for port in machine.interfaces]
    first = machine.interfaces[0]
    assert ("node-01", IPv4Address("10.1.0.3"), (), 600, "special.example") == (
        first.hostname,
        first.gateway,
        first.name_servers,
        first.lease_time,
        first.domain,
    )
    assert [(True, True), (True, False), (False, True)] == [(port.dhcp, port.netboot) for port in machine.interfaces[:3]]
    assert [0, 0, 42, 0, 0] == [port.vlan for port in machine.interfaces]
    ports = ("52:54:00:12:34:ae", "52:54:00:12:34:af")
    assert (Bond("bond0", "802.3ad", ports, IPv4Address("10.2.0.6")),) == machine.bonds
    assert Disk("root", None, "S3Z9", None, 480 * 1000**3) == machine.disks[0]
    assert 512 * 1024**3 == machine.disks[2].size


def test_every_field_of_a_site_arrives_in_its_normal_form() -> None:
    site = read(RICH).site
    assert (IPv4Address("10.1.0.2"), "wait", 2700) == (site.server, site.unknown, site.boot_timeout)
    one, two = site.subnets
    assert (IPv4Network("10.1.0.0/16"), IPv4Address("10.1.0.1"), 5400) == (one.cidr, one.gateway, one.lease_time)
    assert (IPv4Address("10.1.200.1"), IPv4Address("10.1.200.250")) == one.range
    assert ("rack2", IPv4Network("10.2.0.0/24"), one.name_servers) == (two.name, two.cidr, two.name_servers)


def test_a_profile_is_a_kernel_or_a_chain_or_a_script() -> None:
    profiles = read(RICH).profiles
    digest = "0123456789abcdef" * 4
    assert ArtifactRef("inspect/vmlinuz", None, None) == profiles["inspect"].kernel
    assert ArtifactRef(None, "https://images.example/more.img", digest) == profiles["inspect"].initrd[1]
    assert ("console=ttyS0 quiet", "exit") == (profiles["inspect"].cmdline, profiles["inspect"].handover)
    assert "http://boot.example/${net0/mac}.ipxe" == profiles["menu"].chain
    assert "#!ipxe\nshell\n" == profiles["shell"].script
    assert (None, None, (), "", None) == (
        profiles["shell"].kernel,
        profiles["shell"].chain,
        profiles["shell"].initrd,
        profiles["shell"].cmdline,
        profiles["shell"].handover,
    )


def test_a_command_line_of_several_lines_is_one_line() -> None:
    profile = PROFILE.replace("spec: {kernel: inspect/vmlinuz}", "spec:\n  kernel: k\n  cmdline: |\n    a=1\n      b=2\n")
    assert read({**SOUND, "profile.yaml": profile}).profiles["inspect"].cmdline == "a=1 b=2"


def test_a_workflow_that_says_little_gets_the_defaults() -> None:
    work = read(SOUND).workflows["look-at-01"]
    assert ("look", "node-01", None, {}, 1, "once", 0, None, 0, "rescue", 0, False) == (
        work.template,
        work.hardware,
        work.match_labels,
        work.hardware_map,
        work.run,
        work.repeat,
        work.resets,
        work.profile,
        work.retry,
        work.on_failure,
        work.pending_timeout,
        work.cancel,
    )


def test_every_field_of_a_workflow_arrives_also_from_json() -> None:
    work = read(RICH).workflows["install"]
    assert (None, {"rack": "r1", "unit": "07"}) == (work.hardware, work.match_labels)
    assert {"device_1": "52:54:00:12:34:ab", "disk": "/dev/sda", "limit": "90"} == work.hardware_map
    assert (2, "everyBoot", 3, "shell") == (work.run, work.repeat, work.resets, work.profile)
    assert (2, "poweroff", 900, True) == (work.retry, work.on_failure, work.pending_timeout, work.cancel)


def test_values_of_a_structured_template_keep_the_text_that_was_written() -> None:
    document = read(RICH).templates["debian"].document
    assert document is not None
    task = document["tasks"][0]  # type: ignore[index]
    assert {"MODE": "0644", "COMPRESSED": "true"} == task["environment"]
    assert {"DISK": "{{ .disk }}", "VERSION": "3.86"} == task["actions"][0]["environment"]
    assert ["stream", "--retries", "3"] == task["actions"][0]["command"]


def test_a_template_as_text_knows_its_lines_in_the_file() -> None:
    template = read(RICH).templates["text"]
    assert template.text is not None
    assert template.text.startswith('version: "0.1"\n')
    assert Place("templates/text.yaml", 8, 5) == template.place_in_text(3, 1)


def test_a_bare_file_is_a_template_by_its_name_line_even_while_it_is_no_yaml() -> None:
    template = read(example()).templates["burn-in"]
    assert "{{- if .rounds }}" in (template.text or "")
    assert (1, 1) == template.place_in_text(1, 1)[1:]


def test_names_that_look_like_numbers_are_text() -> None:
    files = {
        **SOUND,
        "bare.yaml": 'version: 0.1\nname: 0123\ntasks: "{{ .x }}"\n',
        "hardware.yaml": MACHINE.replace("hostname: node-01", "hostname: 7"),
    }
    assert "0123" in read(files).templates
    assert "7" == read(files).hardware["node-01"].interfaces[0].hostname


def test_the_place_of_any_value_is_found_by_its_path() -> None:
    machine = read(RICH).hardware["node-01"]
    assert Place("machines/a.yml", 1, 1) == machine.place
    assert Place("machines/a.yml", 12, 10) == machine.where("spec.interfaces[0].mac")
    assert Place("machines/a.yml", 20, 72) == machine.where("spec.interfaces[1].netboot")


def test_the_place_of_a_default_is_that_of_what_is_around_it() -> None:
    machine = read(RICH).hardware["node-01"]
    assert machine.where("spec.interfaces[1].hostname") != machine.where("spec.interfaces[1]")
    assert machine.where("spec.interfaces[1].address") == machine.where("spec.interfaces[1]")
