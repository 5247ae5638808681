"""One comment on a pull request: made once, found again, changed in place. The forge is a stub of the documented endpoints."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.comments import Done, Unspoken, fitted, marker, publish
from reconciler.forges import KINDS, Answer, BadForge, Kind, forge_of
from tests.reconciler.forgestub import ME, PROJECT, SOMEBODY, TOKEN, Stub

API = "https://git.lab.example"


def converse(stub: Stub, text: str = "97 machines", name: str = "plan") -> Done:
    """As over a socket, without one."""
    kind: Kind = stub.kind  # type: ignore[assignment]  # the stub serves the kinds there are
    conversation = publish(forge_of(kind, API, PROJECT, TOKEN), 7, name, text)
    try:
        request = next(conversation)
        while True:
            headers = {key.lower(): value for key, value in request.headers.items()}
            target = request.url.removeprefix(API)
            status, _, content = stub.answer(request.method, target, headers, json.loads(request.body or b"{}"))
            payload = content if isinstance(content, bytes) else json.dumps(content).encode()
            request = conversation.send(Answer(status, {}, payload))
    except StopIteration as end:
        done: Done = end.value
        return done


@pytest.mark.parametrize("is_job", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_there_is_one_comment_however_often_the_pull_request_changes(kind: Kind, is_job: bool) -> None:
    stub = Stub(kind, is_job=is_job and kind != "gitlab")  # GitLab's job token cannot write notes: a person's or project's does
    assert "made" == converse(stub, "first")
    assert "changed" == converse(stub, "second")
    assert "left as it was" == converse(stub, "second")
    (comment,) = stub.comments
    assert f"{marker('plan')}\nsecond" == comment["body"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_found_among_hundreds_of_others(kind: Kind) -> None:
    stub = Stub(kind)
    for number in range(250):
        stub.by(SOMEBODY, f"comment {number}")
    converse(stub, "first")
    for number in range(250):
        stub.by(SOMEBODY, f"later comment {number}")
    assert "changed" == converse(stub, "second")
    assert 501 == len(stub.comments)


@pytest.mark.parametrize("is_job", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_marker_in_somebody_elses_comment_does_not_make_it_ours(kind: Kind, is_job: bool) -> None:
    """Its author could change the plan after it was put there."""
    stub = Stub(kind, is_job=is_job and kind != "gitlab")
    bait = stub.by(SOMEBODY, f"{marker('plan')}\nno changes")
    assert "made" == converse(stub, "wipes 40 disks")
    assert (f"{marker('plan')}\nno changes", 2) == (bait["body"], len(stub.comments))
    assert "changed" == converse(stub, "wipes 41 disks")
    assert ("no changes" in bait["body"], "41" in stub.comments[1]["body"]) == (True, True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_comment_that_only_quotes_the_marker_is_not_ours(kind: Kind) -> None:
    stub = Stub(kind)
    stub.by(ME, f"> {marker('plan')}\n{marker('plan')}")
    stub.by(ME, f"{marker('plan-berlin')}\nanother")
    assert "made" == converse(stub)


def test_two_names_are_two_comments() -> None:
    stub = Stub("github")
    assert ["made", "made", "changed"] == [
        converse(stub, text, name) for text, name in (("a", "plan"), ("b", "x"), ("c", "plan"))
    ]


@pytest.mark.parametrize("name", ["", "Plan", "a b", "-->", "x" * 65, "a\n"])
def test_a_name_that_no_marker_can_hold_is_refused(name: str) -> None:
    with pytest.raises(BadForge, match="is no name for a comment"):
        converse(Stub("github"), "x", name)


STRANGE: list[tuple[int, dict[str, str], object]] = [
    (500, {}, {}),
    (301, {}, {}),
    (200, {}, b"<html>log in</html>"),
    (200, {}, "odd"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/user", "/comments", "/notes"])
@pytest.mark.parametrize("reply", STRANGE)
def test_what_is_no_answer_is_never_taken_for_one(kind: Kind, path: str, reply: tuple[int, dict[str, str], object]) -> None:
    """Else a proxy's page of words would be a pull request without comments, and each push another comment."""
    stub = Stub(kind)
    converse(stub, "first")
    stub.trouble = lambda method, asked: reply if method == "GET" and asked.endswith(path) else None
    if path == {"gitlab": "/comments"}.get(kind, "/notes"):
        assert "changed" == converse(stub, "second")  # this forge has no such address
    else:
        with pytest.raises(Unspoken):
            converse(stub, "second")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("comments", [0, 1])
def test_a_comment_that_was_not_taken_is_no_success(kind: Kind, comments: int) -> None:
    stub = Stub(kind)
    for _ in range(comments):
        converse(stub, "first")
    stub.trouble = lambda method, _: (403, {}, {"message": "Forbidden"}) if method != "GET" else None
    with pytest.raises(Unspoken) as error:
        converse(stub, "second")
    assert (403, comments) == (error.value.answer.status, len(stub.comments))


@pytest.mark.parametrize(("kind", "most"), [("github", 65_536), ("gitlab", 1_000_000), ("gitea", 65_536)])
def test_a_plan_too_long_for_the_forge_is_shortened_with_a_sentence(kind: Kind, most: int) -> None:
    stub = Stub(kind)
    text = "# Plan\n<details>\n```diff\n" + "- node-01: kernel argument é\n" * 60_000
    assert "made" == converse(stub, text)
    body = stub.comments[0]["body"]
    assert most * 0.9 < len(body.encode()) <= most
    assert body.endswith("The whole of it is in the log of the job.*\n")
    assert (0, 1, 1) == (len(re.findall(r"^```", body, re.MULTILINE)) % 2, body.count("<details>"), body.count("</details>"))
    assert "left as it was" == converse(stub, text)


@given(
    st.lists(st.sampled_from(["a\n", "é" * 30 + "\n", "```\n", "<details>\n", "</details>\n", "\n", "x"])),
    st.integers(150, 900),
)
def test_what_is_shortened_fits_and_closes_what_it_opened(parts: list[str], most: int) -> None:
    text = "".join(parts)
    found = fitted(text, most)
    if len(text.encode()) <= most:
        assert text == found
    else:
        assert len(found.encode()) <= most or "".join(parts[:1]) not in found
        assert found.count("<details>") <= found.count("</details>")
        assert 0 == len(re.findall(r"^```", found, re.MULTILINE)) % 2
