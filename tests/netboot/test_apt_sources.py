"""The host's sources: read in both notations, narrowed to Debian's own, and written for other suites. No mirror is named."""

from __future__ import annotations

import pytest

from netboot.apt_sources import Source, of_suites, read_sources, write_sources

STANZAS = """\
# written by hand
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main
"""
LINES = """\
# deb http://old.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/keys/docker.asc] https://other.example/linux/debian bookworm stable # theirs
deb http://mirror.example/debian-security bookworm-security main
deb nonsense
"""


def test_stanzas_are_read_but_for_sources_and_what_is_switched_off() -> None:
    archive, security = read_sources(STANZAS)
    key = ("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg")
    uris = ("http://mirror.example/debian",)
    assert Source(uris, ("bookworm", "bookworm-updates"), ("main", "contrib"), (key,)) == archive
    assert "-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc" == security.options[0][1]


def test_lines_are_read_but_for_sources_and_comments() -> None:
    archive, other, security = read_sources(LINES)
    assert Source(("http://mirror.example/debian",), ("bookworm",), ("main", "contrib")) == archive
    assert (("Signed-By", "/etc/keys/docker.asc"),) == other.options
    assert ("stable",) == other.components
    assert ("bookworm-security",) == security.suites


@pytest.mark.parametrize("text", [STANZAS, LINES])
def test_debian_s_own_sources_are_taken_for_the_suites_that_are_wanted(text: str) -> None:
    taken = of_suites(read_sources(text), "bookworm", ["bookworm", "trixie"])
    suites = [suite for source in taken for suite in source.suites]
    assert {"bookworm", "trixie", "bookworm-security", "trixie-security"} <= set(suites)
    assert {("main",)} == {source.components for source in taken}
    assert {"mirror.example"} == {uri.split("/")[2] for source in taken for uri in source.uris}


def test_further_components_are_taken_where_a_source_has_them() -> None:
    taken = of_suites(read_sources(STANZAS), "bookworm", ["bookworm"], ("main", "contrib", "non-free-firmware"))
    assert [("main", "contrib"), ("main",)] == [source.components for source in taken]


def test_a_host_of_another_release_has_nothing_to_take() -> None:
    assert [] == of_suites(read_sources(STANZAS), "noble", ["noble"])


def test_what_is_written_is_read_back() -> None:
    sources = read_sources(STANZAS)
    assert sources == read_sources(write_sources(sources))


@pytest.mark.parametrize("text", ["", "\n\n", "Types:", "deb", "# nothing"])
def test_a_file_that_says_nothing_names_no_source(text: str) -> None:
    assert [] == [source for source in read_sources(text) if source.uris]
