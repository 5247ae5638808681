"""Templates by chance: mostly sound ones, some with kinds that do not fit, over the data of `template_cases`."""

from __future__ import annotations

import re
from random import Random

TEXTS = (".name", ".device_1", ".none", ".text", '"a b"', "`x`", ".hardware.spec.arch", "$.name", '"é☃"', '"-"')
NUMBERS = (".n", ".zero", ".minus", "0", "1", "2", "7", "-3", "0x10", "'a'", "(len .list)", "(index .numbers 0)")
FLOATS = (".f", ".big", "1.5", "2.0", "1e3", "1e6", ".25", "100000.0", "123456.7", "1e-5", ".hardware.spec.load")
LISTS = (".list", ".numbers", ".nothing", ".mixed", ".Hardware.Disks", "(list 1 `a` true)", "(splitList `o` .name)")
MAPS = (".map", ".hardware", ".hardware.spec", ".hardware.spec.empty", "(dict `k` 1 `l` .list)", ".references.secret.data")
ODD = (".null", "nil", ".yes", ".no", "true", "false", ".nope", "$", ".", ".map.c", "(index .map `c`)", "(index .map `nope`)")


def template(chance: Random, depth: int = 0) -> str:
    """Text and actions, nested a few levels deep."""
    return "".join(_piece(chance, depth) for _ in range(chance.randint(1, 4)))


def _piece(chance: Random, depth: int) -> str:
    kinds = [_text, _action, _action, _comment] + ([] if depth > 2 else [_if, _range, _with, _variable])
    return chance.choice(kinds)(chance, depth)


def _text(chance: Random, _: int) -> str:
    return chance.choice((" ", "x", "\n", "  - a: ", "} {", "\t", " \n "))


def _open(chance: Random) -> str:
    return chance.choice(("{{", "{{", "{{ ", "{{- "))


def _close(chance: Random) -> str:
    return chance.choice(("}}", "}}", " }}", " -}}"))


def _comment(chance: Random, _: int) -> str:
    return chance.choice(("{{/* a */}}", "{{- /* b */ -}}"))


def _action(chance: Random, depth: int) -> str:
    return _open(chance) + pipeline(chance, depth) + _close(chance)


def _if(chance: Random, depth: int) -> str:
    middle = chance.choice(("", "", "{{else}}" + template(chance, depth + 1)))
    if chance.random() < 0.3:
        middle = f"{{{{else if {pipeline(chance, depth)}}}}}" + template(chance, depth + 1) + middle
    return f"{_open(chance)}if {pipeline(chance, depth)}{_close(chance)}{template(chance, depth + 1)}{middle}{{{{end}}}}"


def _with(chance: Random, depth: int) -> str:
    declared = chance.choice(("", "", "$w := "))
    return f"{{{{with {declared}{pipeline(chance, depth)}}}}}{{{{.}}}}{template(chance, depth + 1)}{{{{end}}}}"


def _range(chance: Random, depth: int) -> str:
    declared = chance.choice(("", "$e := ", "$i, $e := "))
    used = "".join(f"{{{{{name}}}}}" for name in ("$i", "$e") if name in declared)
    jump = chance.choice(("", "", "{{if $.yes}}{{break}}{{end}}", "{{if eq $.n 3}}{{continue}}{{end}}"))
    over = chance.choice((*LISTS, *LISTS, *MAPS, *MAPS, ".null", pipeline(chance, depth)))
    inner = template(chance, depth + 1) if chance.random() < 0.5 else "{{.}}"
    return f"{{{{range {declared}{over}}}}}{used}{jump}{inner}{chance.choice(('', '{{else}}none'))}{{{{end}}}}"


def _variable(chance: Random, depth: int) -> str:
    change = chance.choice(("", "{{$v = 2}}", "{{if .yes}}{{$v = `in`}}{{end}}", "{{if .yes}}{{$v := `in`}}{{end}}"))
    return f"{{{{$v := {pipeline(chance, depth)}}}}}{change}{{{{$v}}}}"


def pipeline(chance: Random, depth: int) -> str:
    """A value, or a call, perhaps piped into another."""
    if depth > 3 or chance.random() < 0.4:
        return _any(chance)
    call = _call(chance, depth)
    return call if chance.random() < 0.7 else f"{call} | {chance.choice(PIPED)}"


def _any(chance: Random) -> str:
    return chance.choice(chance.choice((TEXTS, TEXTS, NUMBERS, FLOATS, LISTS, MAPS, ODD)))


def _call(chance: Random, depth: int) -> str:
    """A call, its placeholders filled: usually with the kind they name, sometimes with any value or call."""

    def fill(placeholder: re.Match[str]) -> str:
        name = placeholder[1]
        if name not in ODD_TOO or chance.random() < 0.93:
            return chance.choice(FILLERS[name])
        return _any(chance) if depth > 1 or chance.random() < 0.7 else f"({pipeline(chance, depth + 1)})"

    return re.sub("<([a-z]+)>", fill, chance.choice(CALLS))


PIPED = (
    "print", "printf `%v`", "quote", "squote", "toString", "len", "not", "default `d`", "and 1", "or 0", "eq 1",
    "upper", "trim", "empty", "join `,`", "sortAlpha", "first", "nindent 2", "indent 1", "contains `a`", "println",
    "list 1", "add 1", "index .list", "ternary 1 2", "coalesce nil 0", "b64enc", "repeat 2", "printf `%5v|`",
)  # fmt: skip
CALLS = (
    "eq <any> <any>", "<compare> <number> <number>", "<compare> <text> <text>", "<compare> <float> <float>",
    "<many> <any> <any>", "<one> <any>", "index <list> <number>", "index <map> <text>", "slice <list> <small>",
    "slice `abcdef` <small> <small>", 'printf "<verb> <verb>" <any> <number>', 'printf "<verb> <verb>" <text> <float>',
    'printf "%d <verb>" <number> <float>', 'printf "<verb>" <list>', 'printf "<hex> <hex>" <whole> <string>',
    "replace <text> <text> <text>", "<texts> <text> <text>", "<change> <text>", "join <text> <list>",
    "sortAlpha (keys <dict>)", "sortAlpha (splitList `o` <text>)", "<space> <number> <text>", "regexMatch `<pattern>` <text>",
    "dig `spec` <text> <any> .hardware", "default <any> <any>", "first <list>", "add <number> <number>", "int <number>",
    "ternary <any> <any> <bool>", "dict <text> <any>", "toYaml <plain>", "formatPartition <disk> <small>",
)  # fmt: skip
FILLERS: dict[str, tuple[str, ...]] = {
    "any": TEXTS + NUMBERS + FLOATS + LISTS + MAPS + ODD,
    "text": TEXTS,
    "string": TEXTS,
    "number": NUMBERS,
    "whole": NUMBERS,
    "float": FLOATS,
    "list": LISTS,
    "map": MAPS,
    "dict": MAPS,
    "plain": LISTS + TEXTS + NUMBERS,
    "bool": (".yes", ".no", "true"),
    "small": ("1", "2", "3"),
    "disk": ("`/dev/sda`", "`/dev/nvme0n1`", "(index .Hardware.Disks 1)", "`/dev/disk/by-id/x`"),
    "compare": ("eq", "ne", "lt", "le", "gt", "ge"),
    "many": ("and", "or", "list", "print", "println", "coalesce", "quote", "squote"),
    "one": ("not", "empty", "len", "toString", "quote", "print"),
    "texts": ("contains", "hasPrefix", "hasSuffix", "trimSuffix", "trimPrefix", "splitList", "split"),
    "change": ("lower", "upper", "trim", "b64enc"),
    "space": ("indent", "nindent", "repeat"),
    "hex": ("%x", "%X", "%8x", "%-8X|", "%.2x"),
    "verb": (
        "%v", "%d", "%s", "%q", "%5v", "%-6v|", "%06d", "%+d", "% d", "%.2f", "%8.3f", "%-9.1f|", "%+.2e", "%e", "%g",
        "%.3g", "%G", "%t", "%c", "%U", "%o", "%O", "%.2s", "%5.1s", "%05d", "%+v", "%08.2f", "%.3d", "%3c",
    ),
    "pattern": (
        "^n", "a|b", "[0-9]+$", "(?i)NODE", "[[:digit:]]{2}:", r"^\w+-\d+$", "[^a-z]", "x*y?", "(ab|cd)*e", r"\bone\b",
        "(?s)one.two", "one.two", "(?m)^  two$", "[[:alpha:]]-[[:^alpha:]]", "a{2,3}", "^$", r"\.", "[a-", "(", "a**",
        "(?P<n>o)n", r"o\x6e", "[]x]", "é", r"\S\s\S", "(?i:N)o", "e??-", "(?:no){1}d", r"[\d-]+", r"\Bd", "o|^", "a{,2}",
    ),
}  # fmt: skip
ODD_TOO = frozenset(("any", "text", "number", "float", "list", "map"))
