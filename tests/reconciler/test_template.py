"""What templates render to, where their errors point, and that a template is a value."""

from __future__ import annotations

import pytest

from reconciler.template import TemplateError, compile_template
from tests.reconciler.template_cases import DATA, GOLDEN, OURS, REFUSED, STRICTER


@pytest.mark.parametrize(("text", "expected"), GOLDEN + OURS)
def test_a_template_renders_as_the_table_says(text: str, expected: str) -> None:
    assert expected == compile_template(text).render(DATA)


@pytest.mark.parametrize("text", REFUSED + STRICTER)
def test_a_template_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        compile_template(text).render(DATA)
