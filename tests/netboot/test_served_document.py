"""What is served is named with its digest and where it came from."""

from __future__ import annotations

from netboot.binaries import Binary
from netboot.boot import Plans
from netboot.plan import Artifact, BootPlan, dump
from netboot.served_document import served_document
from tests.netboot.plan_example import SITE

ONE, TWO = "1" * 64, "2" * 64


def plan(*artifacts: Artifact) -> BootPlan:
    return dump(SITE, [], [], artifacts, []).plan


def test_programs_have_digest_size_path_and_package() -> None:
    programs = [Binary("b.efi", b"12345", TWO, "/srv/b.efi"), Binary("a.efi", b"123", ONE, "/usr/a", "ipxe", "1.2-3")]
    document = served_document(Plans(plan(), {}), programs)
    assert [
        {"name": "a.efi", "sha256": ONE, "size": 3, "path": "/usr/a", "package": "ipxe", "version": "1.2-3"},
        {"name": "b.efi", "sha256": TWO, "size": 5, "path": "/srv/b.efi", "package": "", "version": ""},
    ] == document["programs"]


def test_artefacts_say_where_their_bytes_come_from() -> None:
    url, loose = "https://x.example/initrd", "http://x.example/loose"
    there = plan(Artifact("lab/vmlinuz", ONE, 7), Artifact(url, TWO, 8), Artifact(loose, url=loose))
    assert [
        {"path": loose, "sha256": "", "size": 0, "origin": "unverified"},
        {"path": url, "sha256": TWO, "size": 8, "origin": "mirror"},
        {"path": "lab/vmlinuz", "sha256": ONE, "size": 7, "origin": "folder"},
    ] == served_document(Plans(there, {}), ())["artifacts"]


def test_what_open_boots_keep_to_is_named_too_and_once() -> None:
    old, new = Artifact("lab/vmlinuz", ONE, 7), Artifact("lab/vmlinuz", TWO, 7)
    common = Artifact("lab/initrd", ONE, 1)
    before, now = plan(old, common), plan(new, common)
    document = served_document(Plans(now, {before.id: before}), ())
    assert now.id == document["plan"]
    assert [ONE, ONE, TWO] == [each["sha256"] for each in document["artifacts"]]
