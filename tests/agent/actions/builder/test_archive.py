"""The archive of images: the same trees give the same bytes, and everything in it is as an engine expects it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from agent.actions.builder.archive import Image, Layer, begun, layer, write


def a_tree(folder: Path, when: int = 0) -> Path:
    (folder / "usr" / "bin").mkdir(parents=True)
    tool = folder / "usr" / "bin" / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o4755)
    os.link(tool, folder / "usr" / "bin" / "twin")
    (folder / "bin").symlink_to("usr/bin")
    (folder / "a").write_text("a")
    os.utime(folder / "a", (when, when))
    return folder


def entries(made: Layer) -> list[tarfile.TarInfo]:
    with tarfile.open(made.file) as tar:
        return tar.getmembers()


def documents(archive: Path) -> tuple[Any, dict[str, bytes]]:
    with tarfile.open(archive) as tar:
        files = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    return json.loads(files["manifest.json"]), files


def test_the_same_tree_gives_the_same_layer_whenever_and_wherever_it_was_made(tmp_path: Path) -> None:
    first = layer(a_tree(tmp_path / "one", when=1), tmp_path / "1.tar.gz")
    second = layer(a_tree(tmp_path / "other", when=2), tmp_path / "2.tar.gz")
    assert first.digest == second.digest
    assert first.file.read_bytes() == second.file.read_bytes()


def test_a_layer_keeps_links_and_drops_owners_times_and_setuid(tmp_path: Path) -> None:
    made = entries(layer(a_tree(tmp_path / "tree"), tmp_path / "layer"))
    assert ["a", "bin", "usr", "usr/bin", "usr/bin/tool", "usr/bin/twin"] == [each.name for each in made]
    assert {(0, 0, 0, "", "")} == {(each.uid, each.gid, each.mtime, each.uname, each.gname) for each in made}
    by_name = {each.name: each for each in made}
    assert "usr/bin" == by_name["bin"].linkname
    assert "usr/bin/tool" == by_name["usr/bin/twin"].linkname
    assert 0o755 == by_name["usr/bin/tool"].mode


def test_every_digest_that_the_archive_names_is_right(tmp_path: Path) -> None:
    layers = [layer(a_tree(tmp_path / name), tmp_path / f"{name}.gz") for name in ("tools", "ours")]
    images = [Image([f"{name}:v3", f"{name}:latest"], ["/bin/sh", name], name == "shell") for name in ("disk-wipe", "shell")]
    write(tmp_path / "out.tar", images, layers, {"PATH": "/bin"}, "arm64")
    manifest, files = documents(tmp_path / "out.tar")
    assert [["disk-wipe:v3", "disk-wipe:latest"], ["shell:v3", "shell:latest"]] == [each["RepoTags"] for each in manifest]
    for each, image in zip(manifest, images, strict=True):
        assert each["Config"] == f"{hashlib.sha256(files[each['Config']]).hexdigest()}.json"
        config = json.loads(files[each["Config"]])
        assert ("arm64", "linux") == (config["architecture"], config["os"])
        program = "Cmd" if image.replaced else "Entrypoint"  # a container's own command takes the place of Cmd
        assert {program: image.program, "Env": ["PATH=/bin"]} == config["config"]
        digests = [f"sha256:{hashlib.sha256(gzip.decompress(files[place])).hexdigest()}" for place in each["Layers"]]
        assert digests == config["rootfs"]["diff_ids"]
    assert 1 + len(images) + len({each.digest for each in layers}) == len(files)


def test_an_archive_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    out.write_text("the one before")
    with pytest.raises(FileNotFoundError):
        write(out, [], [Layer(tmp_path / "nothing", "0" * 64)], {}, "amd64")
    assert "the one before" == out.read_text()
    assert ["out.tar"] == [path.name for path in tmp_path.iterdir()]


def test_where_no_archive_can_be_is_said_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=str(tmp_path)), begun(tmp_path):
        pytest.fail("it began")
    with pytest.raises(OSError, match="/dev/null"), begun(Path("/dev/null/out.tar")):
        pytest.fail("it began")
    with begun(tmp_path / "a/new/folder/out.tar") as partial:
        assert partial.exists()
    assert [] == [*(tmp_path / "a/new/folder").iterdir()]
