"""Addresses are sorted, refused or parted from their credentials before any git sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import BadSource
from reconciler.source import Local, Remote, Source, locate, scrub


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/srv/site", Local(Path("/srv/site"))),
        ("./a:b", Local(Path("./a:b"))),
        ("file:///srv/my%20site", Local(Path("/srv/my site"))),
        ("git@lab.example:site.git", Remote("git@lab.example:site.git")),
        ("ssh://git@lab.example:2222/site.git", Remote("ssh://git@lab.example:2222/site.git")),
        ("ssh://git:secret@lab.example/site.git", Remote("ssh://git@lab.example/site.git")),
        ("HTTPS://lab.example/site.git", Remote("https://lab.example/site.git")),
        ("https://ann:p%40ss@lab.example:8443/s.git", Remote("https://lab.example:8443/s.git", "ann", "p@ss")),
        ("https://token@lab.example/s.git", Remote("https://lab.example/s.git", "token")),
        ("http://[::1]:8080/s.git", Remote("http://[::1]:8080/s.git")),
        ("git://lab.example/s.git", Remote("git://lab.example/s.git")),
    ],
)
def test_an_address_is_a_local_path_or_a_remote_without_its_secrets(url: str, expected: Local | Remote) -> None:
    assert expected == locate(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ext::sh -c touch% /tmp/owned",
        "EXT::sh -c id",
        "::id",
        "fd::17",
        "ext://sh",
        "ftp://lab.example/s.git",
        "--upload-pack=touch /tmp/owned",
        "-x",
        "ssh://-oProxyCommand=id/x",
        "ssh://-oProxyCommand=id@lab.example/x",
        "ssh://git@-oProxyCommand=id/x",
        "-oProxyCommand=id:x",
        "git@-oProxyCommand=id:x",
        "https:///s.git",
        "https://lab.example/a\nb",
        "https://ann:a%0aprotocol=ssh@lab.example/s.git",
    ],
)
def test_an_address_that_git_would_run_or_misread_is_refused(url: str) -> None:
    with pytest.raises(BadSource):
        Source(url)


def test_a_refusal_does_not_repeat_a_secret() -> None:
    with pytest.raises(BadSource) as caught:
        Source("https://ann:hunter2/3@lab.example/s.git")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_source_shows_no_secret_however_it_is_printed() -> None:
    source = Source("https://ann:hunter2@lab.example/s.git")
    assert "hunter2" not in f"{source} {source!r} {source.location!r}"


def test_the_credentials_belong_to_scheme_host_and_port() -> None:
    assert Remote("https://lab.example:8443/a/b.git", "ann", "x").origin == "https://lab.example:8443"


@pytest.mark.parametrize(("path", "expected"), [("", ""), ("/", ""), (".", ""), ("/a//b/./", "a/b")])
def test_a_folder_is_given_from_the_top_of_the_repository(path: str, expected: str) -> None:
    assert expected == Source("/srv/site", path=path).path


@pytest.mark.parametrize("path", ["..", "a/../../b", "a\nb"])
def test_a_folder_outside_the_repository_is_refused(path: str) -> None:
    with pytest.raises(BadSource):
        Source("/srv/site", path=path)


def test_an_empty_ref_means_head() -> None:
    assert Source("/srv/site", "").ref == "HEAD"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fatal: https://ann:hunter2@lab.example/s: 403", "fatal: https://lab.example/s: 403"),
        ("'https://ghp_token@lab.example/'", "'https://lab.example/'"),
        ("https://a:b@c@lab.example/x", "https://lab.example/x"),
        ("ssh://git:hunter2@lab.example", "ssh://git@lab.example"),
        ("ssh://git@lab.example stays", "ssh://git@lab.example stays"),
        ("the word hunter2 alone", "the word *** alone"),
    ],
)
def test_what_opens_a_door_is_scrubbed_from_any_text(text: str, expected: str) -> None:
    assert expected == scrub(text, "hunter2", "")
