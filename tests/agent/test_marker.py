"""Which run may overwrite which installation."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.marker import MAGIC, OFFSET, SIZE, Marker, decode, encode, may_overwrite, of_run
from agent.messages import Malformed


def machine(number: int = 2, workflow: str = "install", overwrites: tuple[str, ...] = (), part: int = 0) -> dict[str, Any]:
    run = {"id": "r1", "workflow": workflow, "number": number, "part": part, "overwrites": list(overwrites)}
    return {"site": "home", "name": "node-01", "run": run}


INSTALLED = Marker("home", "install", "node-01", 1)


NAMES, NUMBERS = st.text(max_size=60), st.integers(0, 2**40)


@given(st.builds(Marker, NAMES, NAMES, NAMES, NUMBERS, NUMBERS))
def test_what_is_written_is_read(marker: Marker) -> None:
    assert SIZE == len(encode(marker))
    assert marker == decode(encode(marker))


def test_it_lies_between_the_partition_table_and_the_first_partition() -> None:
    assert OFFSET == 1044480
    assert 1 << 20 == OFFSET + SIZE
    assert encode(INSTALLED).startswith(b'gitboot marker 1\n{"machine": "node-01"')


def test_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode(Marker("home", "w" * SIZE, "node-01", 1))


@pytest.mark.parametrize("block", [b"", bytes(SIZE), b"\xff" * SIZE, b"gitboot marker 2\n".ljust(SIZE, b"\0")])
def test_a_disk_without_a_marker_may_be_overwritten(block: bytes) -> None:
    assert decode(block) is None
    assert "" == may_overwrite(block, {})


@given(st.integers(len(MAGIC), SIZE - 1), st.integers(1, 255))
def test_one_wrong_byte_makes_a_marker_a_damaged_one(at: int, flip: int) -> None:
    block = bytearray(encode(INSTALLED))
    block[at] ^= flip
    with pytest.raises(Malformed):
        decode(bytes(block))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b'{"site": "a"}', b"[" * 4000, b"\xff"])
def test_a_marker_with_a_right_digest_and_wrong_content_is_malformed(text: bytes) -> None:
    body = (MAGIC + text).ljust(SIZE - 32, b"\0")[: SIZE - 32]
    with pytest.raises(Malformed):
        decode(body + sha256(body).digest())
    for number in (b'"1"', b'1, "part": "1"'):
        wrong = b'{"site": "a", "workflow": "b", "machine": "c", "run": %b}\n' % number
        body = (MAGIC + wrong).ljust(SIZE - 32, b"\0")
        with pytest.raises(Malformed):
            decode(body + sha256(body).digest())


def test_a_later_run_of_the_same_workflow_may_install_again() -> None:
    assert "" == may_overwrite(encode(INSTALLED), machine(number=2))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (2, "this run has already installed it (run 2 of workflow install on machine node-01 of site home): raise `run`"),
        (3, "a later run has already installed it (run 3 of workflow install on machine node-01 of site home): raise `run`"),
    ],
)
def test_the_same_or_an_earlier_run_may_not_whatever_it_overwrites(found: int, wanted: str) -> None:
    for overwrites in ((), ("install",), ("*",)):
        reason = may_overwrite(encode(Marker("home", "install", "node-01", found)), machine(2, overwrites=overwrites))
        assert reason.startswith(wanted)


@pytest.mark.parametrize(("found", "part"), [((1, 2), 0), ((2, 0), 1), ((2, 0), 2), ((2, 1), 2)])
def test_a_later_part_of_a_run_goes_on_where_the_one_before_it_ended(found: tuple[int, int], part: int) -> None:
    assert "" == may_overwrite(encode(Marker("home", "install", "node-01", *found)), machine(2, part=part))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ((2, 1), "this run has already installed it (run 2, part 1, of workflow install on machine"),
        ((2, 2), "a later part of this run has already installed it (run 2, part 2, of workflow install"),
        ((3, 0), "a later run has already installed it (run 3 of workflow install on machine"),
    ],
)
def test_the_same_or_an_earlier_part_may_not(found: tuple[int, int], wanted: str) -> None:
    reason = may_overwrite(encode(Marker("home", "install", "node-01", *found)), machine(2, overwrites=("*",), part=1))
    assert reason.startswith(wanted)


def test_a_marker_from_before_there_were_parts_is_of_the_first() -> None:
    old = b'{"machine": "node-01", "run": 2, "site": "home", "workflow": "install"}\n'
    body = (MAGIC + old).ljust(SIZE - 32, b"\0")
    assert Marker("home", "install", "node-01", 2, 0) == decode(body + sha256(body).digest())


def test_another_workflow_of_the_machine_must_be_named() -> None:
    block = encode(INSTALLED)
    assert may_overwrite(block, machine(workflow="ubuntu")) == (
        "it was installed by run 1 of workflow install on machine node-01 of site home: "
        'if this run may replace that, add "install" to the Workflow\'s `overwrites`'
    )
    assert may_overwrite(block, machine(workflow="ubuntu", overwrites=("debian",)))
    assert "" == may_overwrite(block, machine(workflow="ubuntu", overwrites=("install",)))
    assert "" == may_overwrite(block, machine(workflow="ubuntu", overwrites=("*",)))


@pytest.mark.parametrize("change", [{"site": "away"}, {"name": "node-02"}])
def test_another_machine_or_site_takes_a_star(change: dict[str, str]) -> None:
    block = encode(INSTALLED)
    assert "`overwrites`" in may_overwrite(block, machine() | change)
    assert may_overwrite(block, machine(overwrites=("install",)) | change)
    assert "" == may_overwrite(block, machine(overwrites=("*",)) | change)


def test_a_damaged_marker_takes_a_star() -> None:
    block = encode(INSTALLED)[:-1] + b"\0"
    assert may_overwrite(block, machine(overwrites=("install",))).startswith("the marker of this disk is damaged, so ")
    assert "" == may_overwrite(block, machine(overwrites=("*",)))
    assert may_overwrite(block, {})


@pytest.mark.parametrize(
    "document", [{}, {"run": {}}, {"run": None}, {"run": {"number": "7"}}, {"run": {"number": 7, "part": "1"}}]
)
def test_whoever_does_not_say_which_run_it_is_overwrites_nothing_that_is_marked(document: dict[str, Any]) -> None:
    assert of_run(document) is None
    assert "no machine document says" in may_overwrite(encode(INSTALLED), document)


def test_what_a_disk_says_is_told_in_one_line_without_a_command_for_the_terminal() -> None:
    machine = {"site": "s", "name": "m", "run": {"workflow": "w", "number": 2}}
    reason = may_overwrite(encode(Marker("s\x1b[31m\nthen: reboot", "\ud800", "m", 1)), machine)
    assert "run 1 of workflow ? on machine m of site s?[31m?then: reboot" in reason
