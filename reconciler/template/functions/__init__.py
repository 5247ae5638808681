"""The functions a template may call: one table, name → callable.

Core. Hermetic: no clock, no chance, no environment, no network; the same arguments give the same value for ever. A function
is a plain Python function whose annotations, by name, say what Go would accept for each parameter: `str`, `int`, `bool`,
`List`, `Map` or `Value` (anything). One that makes something as large as its arguments say takes the `Budget` first and
pays before it works. It raises `Fault` and nothing else. To add one, write it and add its row to its module's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from reconciler.template.functions import builtin, data, hardware, text
from reconciler.template.functions.signature import Function

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        name: Function.of(name, call)
        for table in (builtin.TABLE, text.TABLE, data.TABLE, hardware.TABLE)
        for name, call in table.items()
    }
    | {"and": Function.deciding("and", stops_at=False), "or": Function.deciding("or", stops_at=True)}
)

__all__ = ["FUNCTIONS", "Function"]
