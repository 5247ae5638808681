"""Masks: text as it may be shown, without what stands where a password, a token or a private key stands.

Core. The law: what is recognized is hidden to the end of its word, quote, line or indented block, rather too much than too
little; and masked text has as many lines as the text, so that two can be compared line by line. A secret is known by where it
stands, never by what it looks like: what no name, option or mark announces cannot be recognized (docs/security.md). What a
pattern has to go back over is bounded, or taken whole: a hostile line must not cost the square of its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

MASK = "***"

# Names -------------------------------------------------------------------------------------------------------------------

_ANYWHERE = re.compile(
    "password|passwd|passphrase|passin$|passout$|secret|token|credential|signature|authorization|rootpw"
    "|private[-_. ]?key|api[-_. ]?key"
)
_PARTS = frozenset(("pass", "pwd", "pw", "psk", "auth", "bearer", "cred", "creds"))
_LAST = re.compile(r"(?<!by)(?<!com)pass$|pwd$|psk$|[-_.](?:key|sig|private)$|^sig$")
_LAST_OF_CAMEL = re.compile(r"[a-z0-9]Key$")
_PUBLIC = re.compile(r"(?:public|pub|authorized)[-_.]?keys?$|^lock[-_]passwd$")


def is_secret(name: str) -> bool:
    """Whether what is called so is secret. `monkey`, `keymap`, `passthrough`, public keys and `module.sig_enforce` are not."""
    name = name.strip("-").rstrip("0123456789._-")
    low = name.lower()
    if _PUBLIC.search(low):
        return False
    parts = re.split(r"[-_./]", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    return bool(_ANYWHERE.search(low) or not _PARTS.isdisjoint(parts) or _LAST.search(low) or _LAST_OF_CAMEL.search(name))


_SETTING = re.compile(r"(?:^|.* )(?:env|kernel argument|label) (?P<name>\S+)$|metadata .*/tags/instance/(?P<tag>[^/]+)$")
_REFERENCE = re.compile(r"secret [^\s/]+/[^\s/]+|sealed, \S+")


@lru_cache(maxsize=4096)
def masked(name: str, value: str) -> str:
    """The value of the setting `name` as it may be shown.

    Values of sealed secrets are never in a plan, so `secret NAME/KEY`, which says which one is meant, stays.
    """
    if " secret " in f" {name}" and _REFERENCE.fullmatch(value):
        return value
    setting = _SETTING.match(name)
    called = (setting["name"] or setting["tag"]) if setting else ""
    if called and (is_secret(called) or called.lower() == "key"):
        return MASK
    return masked_text(value)


# Text --------------------------------------------------------------------------------------------------------------------

_WORD = r"""(?:'[^'\n]*(?:'|$)|"(?:\\.|[^"\\\n])*(?:"|$)|\\.|[^\s'"\\]|\\$)+"""
"""Of a shell: to the next blank that is in no quote."""
_BETWEEN = r"""(?:["']?\s*,\s*|["']?\s+(?:\\\n\s*)?(?:-\s+)?)"""
"""From one word of a command to the next: on a command line, in a list of JSON or YAML, on the next line."""
_WITHIN = r"""(?P<quote>["'])?(?P<who>[^\s:'",]+):"""
_PEM = re.compile(r"(?s)(-----BEGIN (?P<what>[A-Z0-9 ]*PRIVATE KEY[A-Z ]*)-----)(?P<body>.*?)(?=-----END (?P=what)-----|\Z)")
_HERE = re.compile(
    r"(?sm)(?P<kept>\bchpasswd\b[^\n]*<<-?\s*[\"']?(?P<end>\w+)[^\n]*\n)(?P<body>.*?)(?=^[ \t]*(?P=end)[ \t]*$|\Z)"
)
_FLAG = re.compile(r"(?<![\w.-])--?[A-Za-z][\w.-]*")
_ARGUMENT = re.compile(rf"(?m){_BETWEEN}(?!--[a-z])(?P<value>{_WORD})")
_LOGIN = re.compile(
    rf"(?m)(?P<kept>(?<![\w-])(?:-u|-U|--(?:proxy-)?user)(?:{_BETWEEN}|=|){_WITHIN})"
    rf"(?(quote)(?:[^\n]*?(?P=quote)(?:{_WORD})?|[^\n]*)|{_WORD})"
)
_SHORT = (
    (re.compile(r"(?P<kept>://[^/@\s:]{1,200}:)(?!\d+/)[^\s@'\"]{1,2000}(?=@)"), ""),
    (re.compile(r"(?P<kept>://(?:[^/@\s:]{0,200}:)?)[^/\s]{1,2000}(?=@)"), ""),
    (re.compile(r"(?P<kept>\biscsi:[^@\s:]{0,200}:)[^@\s]{1,500}(?=@)"), ""),
    (re.compile(r"(?P<kept>\b[Bb]earer[ \t]+)[^\s'\"\\=:|*][^\s'\"]*"), ""),
    (re.compile(r"(?P<kept>)\$(?:[1567y]|gy|2[abxy])\$[^\s'\",}\]]+"), ""),
    (re.compile(r"(?P<kept>)\bAGE-SECRET-KEY-\w+"), ""),
    (
        re.compile(r"(?m)(?P<kept>^[ \t]*(?:- +)*+[\"']?)\S.*?(?P<after>\|\s*(?:sudo\s+)?(?:chpasswd|passwd|cryptsetup)\b)"),
        r" \g<after>",
    ),
    (re.compile(r"(?m)(?P<kept>^[ \t]*rootpw[ \t]+)\S.*"), ""),
    (re.compile(r"(?m)(?P<kept>(?<!\S)(?=\S*passw(?:or)?d)\S++[ \t]+(?:password|string)[ \t]+)\S.*"), ""),
    (re.compile(r"(?P<kept>\blogin\s+\S+\s+password\s+)\S+"), ""),
    (re.compile(r"(?m)(?P<kept>\bset[ \t]+(?:\S*/)?(?=[\w.-]*(?:passw|secret|token|psk))[\w.:-]++[ \t]+)[^\s*].*"), ""),
)
"""User and password of a URL, and of dracut's iSCSI; a header; hashes as crypt(3) has them; age's identities; what is piped to
a program that sets passwords; kickstart; preseed; netrc; iPXE. What is put after each mask."""


def masked_text(text: str) -> str:
    """Any text: a command line, a URL, a script, YAML, JSON. As many lines as it has."""
    for block in (_PEM, _HERE):
        text = block.sub(_hidden_body, text)
    text = "\n".join(_lines(_LOGIN.sub(rf"\g<kept>{MASK}", _arguments(text)).split("\n")))
    for short, after in _SHORT:
        text = short.sub(rf"\g<kept>{MASK}{after}", text)
    return text


def _hidden_body(found: re.Match[str]) -> str:
    """Line by line, each as far in as it was."""
    kept = found[0][: found.start("body") - found.start()]
    return kept + re.sub(r"[^\s][^\n]*", MASK, found["body"])


def _arguments(text: str) -> str:
    """`--password X`: the word after an option that is called so."""
    done, at = [], 0
    for flag in _FLAG.finditer(text):
        if flag.start() >= at and is_secret(flag[0]) and (argument := _ARGUMENT.match(text, flag.end())):
            done += [text[at : argument.start("value")], MASK]
            at = argument.end("value")
    return "".join([*done, text[at:]])


# Lines -------------------------------------------------------------------------------------------------------------------

_NAME = re.compile(r"""(?<![\w.-])(?P<name>[\w.-]+)(?P<closed>["'\]]*)(?P<blank>[ \t]*)(?P<sign>[:=])(?P<gap>[ \t]*)""")
_BEGIN = re.compile(r"""(?P<indent>\s*(?:- +)*+)["']?""")
_ONE_WORD = re.compile(_WORD)
_OF_QUERY = re.compile(r"""[^\s&'"]*""")
_OF_FLOW = re.compile(r""""(?:\\.|[^"\\])*(?:"|$)|'(?:[^']|'')*(?:'|$)|[{\[].*|[^,}\]]*""")
_TO_QUOTE = {quote: re.compile(rf"(?:[^{quote}]*{quote}(?:{_WORD})?|.*)") for quote in "'\""}


def _lines(lines: list[str]) -> Iterator[str]:
    """What is further in than a secret's name belongs to it, and so does a list that YAML lets begin below its name."""
    deeper: int | None = None
    with_list = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if deeper is not None and line.strip():
            if indent > deeper or (with_list and indent == deeper and line.lstrip().startswith("- ")):
                yield f"{line[:indent]}{MASK}"
                continue
            deeper = None
        shown, opened, bare = _line(line)
        if opened is not None:
            deeper, with_list = opened, bare
        yield shown


def _line(line: str) -> tuple[str, int | None, bool]:
    """Masked; how far in a name of YAML stands that is secret; and whether its value only begins on the next line."""
    done: list[str] = []
    at = 0
    opened, bare = None, False
    begin = _BEGIN.match(line)
    for found in _NAME.finditer(line):
        if found.start() < at or not _announces(line, found):
            continue
        first = begin is not None and begin.end() == found.start()
        end = _end(line, found, first)
        if first and found["sign"] == ":" and begin:
            opened, bare = len(begin["indent"]), end == found.end()
        if line[found.end() : end].strip("*"):  # what is masked already stays as long as it is
            done += [line[at : found.end()], MASK]
            at = end
    return "".join([*done, line[at:]]), opened, bare


def _announces(line: str, found: re.Match[str]) -> bool:
    before = line[found.start() - 1 : found.start()]
    if found["sign"] == "=":
        return is_secret(found["name"]) or (before in ("?", "&") and found["name"].lower() == "key")
    if before in ("/", "@", ":"):  # host and port, image and tag
        return False
    apart = found["gap"] or found["closed"] or before in ("'", '"') or found.end() == len(line)
    return is_secret(found["name"]) and bool(apart or _ANYWHERE.search(found["name"].lower()))


def _end(line: str, found: re.Match[str], first: bool) -> int:
    """Where the value ends."""
    before, start = line[found.start() - 1 : found.start()], found.end()
    rule: re.Pattern[str] | None = None
    if before in _TO_QUOTE and before and not found["closed"]:
        rule = _TO_QUOTE[before]
    elif found["sign"] == "=":
        spread = first and (found["blank"] or found["gap"])
        rule = None if spread else _OF_QUERY if before in ("?", "&") else _ONE_WORD
        if rule is _ONE_WORD and found["gap"] and not found["blank"]:  # `password= quiet`: it has none
            return start
    elif line[: found.start() - (before in ("'", '"'))].rstrip().endswith(("{", ",")):
        rule = _OF_FLOW
    if rule is None:
        return len(line)
    value = rule.match(line, start)
    return value.end() if value else start
