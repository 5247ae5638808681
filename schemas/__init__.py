"""The schemas: the one authority on the shape of every document that people or programs exchange with gitboot."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def load(name: str) -> dict[str, Any]:
    """The schema `schemas/<name>.json`, shared by all who ask for it: not to be changed."""
    schema: dict[str, Any] = json.loads(files(__name__).joinpath(f"{name}.json").read_text("utf-8"))
    return schema
