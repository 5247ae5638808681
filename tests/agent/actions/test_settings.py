"""What an action is told, and the sentence for what is wrong with it."""

from __future__ import annotations

import pytest

from agent.actions.settings import Failed, Parameter, read

PARAMETERS = (
    Parameter("IMG_URL", "where the image is", None),
    Parameter("DEST_DISK", "the disk to write to", None),
    Parameter("COMPRESSED", "decompress it"),
    Parameter("MINUTES", "how long to try", "10"),
)
GIVEN = {"IMG_URL": "http://a/b", "DEST_DISK": "/dev/sda"}


def test_every_missing_parameter_is_named_with_its_meaning() -> None:
    with pytest.raises(Failed, match=r"^IMG_URL is not set: where the image is; DEST_DISK is not set: the disk to write to$"):
        read(PARAMETERS, {"IMG_URL": ""})


def test_what_is_not_given_or_empty_has_its_default_and_what_is_not_declared_is_not_read() -> None:
    settings = read(PARAMETERS, {**GIVEN, "MINUTES": "", "PATH": "/bin"})
    assert 10 == settings.number("MINUTES")
    assert {"IMG_URL", "DEST_DISK", "COMPRESSED", "MINUTES"} == settings.values.keys()


@pytest.mark.parametrize(
    ("word", "meant"), [("true", True), ("True", True), ("1", True), ("y", True), ("", False), ("false", False), ("0", False)]
)
def test_a_flag_is_one_of_many_words(word: str, meant: bool) -> None:
    assert meant is read(PARAMETERS, {**GIVEN, "COMPRESSED": word}).flag("COMPRESSED")


def test_what_is_no_flag_number_or_choice_is_refused_with_what_to_write() -> None:
    settings = read(PARAMETERS, {**GIVEN, "COMPRESSED": "gzip", "MINUTES": "-1"})
    with pytest.raises(Failed, match="COMPRESSED is 'gzip': write true or false"):
        settings.flag("COMPRESSED")
    with pytest.raises(Failed, match="MINUTES is '-1': write a whole number"):
        settings.number("MINUTES")
    with pytest.raises(Failed, match="COMPRESSED is 'gzip': write one of xz, zstd"):
        settings.choice("COMPRESSED", "", "xz", "zstd")
    assert "gzip" == settings.choice("COMPRESSED", "gzip", "xz")
