"""printf: Go's format verbs over plain data.

Core. Where Go would print a complaint into the text (`%!d(string=x)`, `%!v(MISSING)`, `%!(EXTRA …)`), this raises `Fault`:
a boot document with such a text in it would only fail later. Not supported: `%T`, `%p`, the flag `#` and `%[n]d` indexes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from reconciler.template.errors import Budget, Fault
from reconciler.template.values import Value, float_text, kind, pieces, scalar_text

_VERB = re.compile(r"%(?P<flags>[-+ 0]*)(?P<width>\*|[0-9]*)(?P<precision>\.(?:\*|[0-9]*))?(?P<verb>.)|[^%]+|%", re.DOTALL)
_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\"}


def sprintf(template: str, arguments: tuple[Value, ...], budget: Budget) -> str:
    """Format the arguments as Go's fmt.Sprintf. Raises `Fault` where verbs and arguments do not fit, or too large."""
    left = list(reversed(arguments))
    text = budget.join(_formatted(template, left, budget))
    if left:
        raise Fault(f"printf has {len(left)} more values than its format {_shown(template)} has verbs")
    return text


def quoted(text: str, quote: str = '"') -> str:
    """The text in quotes, as Go's strconv.Quote."""
    return quote + "".join(_quoted(character, quote) for character in text) + quote


def _quoted(character: str, quote: str) -> str:
    if character == quote:
        return "\\" + quote
    if character.isprintable() and character != "\\":
        return character
    code = ord(character)
    return _ESCAPES.get(character) or (
        f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


@dataclass(frozen=True, slots=True)
class _Spec:
    """One `%…` of a format."""

    flags: str
    width: int
    precision: int | None
    verb: str

    def pad(self, text: str, zeros: bool = False) -> str:
        """Fill up to the width; zeros go between sign and digits."""
        if "-" in self.flags:
            return text.ljust(self.width)
        if zeros and "0" in self.flags:
            return text.zfill(self.width)
        return text.rjust(self.width, "0" if "0" in self.flags and self.verb in "sqvxX" and not zeros else " ")

    def sign(self, negative: bool) -> str:
        return "-" if negative else "+" if "+" in self.flags else " " if " " in self.flags else ""


def _formatted(template: str, left: list[Value], budget: Budget) -> Iterator[str]:
    for match in _VERB.finditer(template):
        verb = match["verb"]
        if match[0] == "%":
            raise Fault(f"the format {_shown(template)} ends inside a verb")
        if verb is None or verb == "%":
            yield verb or match[0]
            continue
        flags = match["flags"]
        width = _count(match["width"], left)
        if width < 0:
            flags, width = flags + "-", -width
        precision = match["precision"]
        digits = None if precision is None else max(_count(precision[1:], left), 0)
        budget.reserve(width + (digits or 0))
        if not left:
            raise Fault(f"printf has fewer values than its format {_shown(template)} has verbs")
        spec = _Spec(flags, width, digits, verb)
        yield from pieces(left.pop(), lambda value, spec=spec: _leaf(value, spec), budget)  # type: ignore[misc]  # the default binds spec now


def _count(text: str, left: list[Value]) -> int:
    """A width or precision: digits, or `*` for the next value."""
    if text != "*":
        return int(text or 0) if len(text) < 9 else 10**9
    value = left.pop() if left else None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 10**9:
        raise Fault("printf's * wants an integer as width or precision")
    return value


def _leaf(value: Value, spec: _Spec) -> str:
    """One value that is no list and no map."""
    if spec.verb == "v":
        spec = replace(spec, flags=spec.flags.replace("+", ""))
    what = kind(value)
    format_ = _FORMATS.get((what, spec.verb))
    if format_ is None:
        raise Fault(f"printf cannot show {_described(value)} with %{spec.verb}")
    return format_(value, spec)


def _described(value: Value) -> str:
    what = kind(value)
    return "nil" if what == "nil" else f"the {what} {_shown(scalar_text(value))}"


def _shown(text: str) -> str:
    return quoted(text if len(text) <= 40 else text[:40] + "…")


def _plain(value: Value, spec: _Spec) -> str:
    return spec.pad(scalar_text(value))


def _string(value: Value, spec: _Spec) -> str:
    text = str(value)
    return spec.pad(text if spec.precision is None else text[: spec.precision])


def _quoted_string(value: Value, spec: _Spec) -> str:
    if "+" in spec.flags:
        raise Fault("printf's %+q is not supported")
    text = str(value)
    return spec.pad(quoted(text if spec.precision is None else text[: spec.precision]))


def _hex_string(value: Value, spec: _Spec) -> str:
    if " " in spec.flags:
        raise Fault("printf's % x is not supported")
    data = str(value).encode(errors="replace")
    digits = data[: spec.precision].hex()
    return spec.pad(digits.upper() if spec.verb == "X" else digits)


def _integer(value: Value, spec: _Spec) -> str:
    number = int(value)  # type: ignore[call-overload]  # the table says integer
    if spec.precision == 0 and number == 0:
        return " " * spec.width
    base = {"v": "d", "O": "o"}.get(spec.verb, spec.verb)
    prefix = "0o" if spec.verb == "O" else ""
    digits = format(abs(number), base)
    sign = spec.sign(number < 0)
    if spec.precision is not None:
        digits = digits.zfill(spec.precision)
    elif "0" in spec.flags and "-" not in spec.flags:
        digits = digits.zfill(spec.width - len(sign))
    text = sign + prefix + digits
    return text.ljust(spec.width) if "-" in spec.flags else text.rjust(spec.width)


def _character(value: Value, spec: _Spec) -> str:
    code = int(value)  # type: ignore[call-overload]  # the table says integer
    valid = 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
    character = chr(code) if valid else "\ufffd"
    return spec.pad(quoted(character, "'") if spec.verb == "q" else character)


def _code_point(value: Value, spec: _Spec) -> str:
    return spec.pad(f"U+{int(value) % 2**64:04X}")  # type: ignore[call-overload]  # the table says integer


def _float(value: Value, spec: _Spec) -> str:
    number = float(value)  # type: ignore[arg-type]  # the table says float
    if spec.precision is None and spec.verb in "vgG":
        text = float_text(abs(number))
        text = text.upper() if spec.verb == "G" and "e" in text else text
    else:
        verb = "g" if spec.verb == "v" else spec.verb
        text = f"%.{6 if spec.precision is None else spec.precision}{verb}" % abs(number)
    finite = number - number == 0
    text = text if finite else float_text(abs(number)).lstrip("+")
    negative = str(number).startswith("-")
    sign = spec.sign(negative) or ("+" if not finite and number == number and spec.verb == "v" else "")
    return spec.pad(sign + text, zeros=finite)


_Format = Callable[[Value, _Spec], str]
_FORMATS: dict[tuple[str, str], _Format] = {
    ("nil", "v"): _plain,
    **{("bool", verb): _plain for verb in "vt"},
    **{("string", verb): _string for verb in "vs"},
    **{("string", verb): _hex_string for verb in "xX"},
    ("string", "q"): _quoted_string,
    **{("integer", verb): _integer for verb in "vdboOxX"},
    **{("integer", verb): _character for verb in "cq"},
    ("integer", "U"): _code_point,
    **{("float", verb): _float for verb in "veEfFgG"},
}
