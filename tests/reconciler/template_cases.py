"""Templates with what they render to, shared by the golden test and the comparison with Go.

`GOLDEN` holds what Go renders the same; `OURS` what gitboot does differently on purpose, or Go only from a later version;
`REFUSED` what neither accepts.
"""

from __future__ import annotations

# ruff: noqa: E501  (a case stays on one line, what goes in beside what comes out)

DATA: dict[str, object] = {
    "device_1": "52:54:00:12:34:01",
    "Hardware": {
        "Disks": ["/dev/nvme0n1", "/dev/sda"],
        "Interfaces": [
            {
                "DHCP": {
                    "MAC": "52:54:00:12:34:01",
                    "Arch": "aarch64",
                    "NameServers": ["10.0.0.1", "10.0.0.2"],
                    "VLANID": "",
                    "IP": {"Address": "10.0.0.11", "Netmask": "255.255.255.0", "Gateway": "10.0.0.1"},
                }
            }
        ],
    },
    "hardware": {
        "metadata": {"labels": {"my-key": "x"}},
        "spec": {"arch": "amd64", "tags": ["b", "a"], "empty": {}, "cpu": 8, "load": 0.5, "netboot": True},
    },
    "references": {"secret": {"data": {"password": "czNjcmV0", "my-key": "v"}}},
    "name": "node-01",
    "text": "one\n  two\n",
    "unicode": "héllo wörld ☃",
    "zero": 0,
    "n": 3,
    "minus": -7,
    "f": 1.5,
    "big": 1234567.0,
    "yes": True,
    "no": False,
    "null": None,
    "none": "",
    "list": ["x", "y", "z"],
    "numbers": [3, 1, 2],
    "mixed": ["a", 1, True, None, 2.5, ["b"], {"c": "d"}],
    "nothing": [],
    "map": {"b": 2, "a": 1, "c": {"d": "deep"}},
}

GOLDEN: list[tuple[str, str]] = [
    # text, trim markers, comments
    ("", ""),
    ("plain } text { with }} braces", "plain } text { with }} braces"),
    ("a {{- `b` -}} c", "abc"),
    ("a \n\t {{- `b` }} c", "ab c"),
    ("a {{ `b` -}} \n c", "a bc"),
    ("a {{- /* gone */ -}} b", "ab"),
    ("a {{/* gone */}} b", "a  b"),
    ("{{/* with }} inside */}}x", "x"),
    ("{{- 3 -}}", "3"),
    ("{{-3}}", "-3"),
    ("{{\n.n\n}}", "3"),
    ("  {{- ` x ` -}}  ", " x "),
    # literals
    (r'{{"a\tb\n\"q\" \\ \x41 \101 \u00e9 \U0001F600"}}', 'a\tb\n"q" \\ A A é 😀'),
    (r"{{`raw \n`}}", r"raw \n"),
    (r"{{'a'}} {{'\n'}} {{'\''}} {{'\x41'}} {{'\u00e9'}} {{'\\'}}", "97 10 39 65 233 92"),
    ("{{1}} {{+1}} {{-1}} {{0x1F}} {{0b101}} {{0o17}} {{017}} {{1_000}} {{0x_ff}}", "1 1 -1 31 5 15 15 1000 255"),
    ("{{1.5}} {{.5}} {{1.}} {{1e3}} {{1e6}} {{1e20}} {{1e21}} {{1.5e-7}} {{0.0001}}", "1.5 0.5 1 1000 1e+06 1e+20 1e+21 1.5e-07 0.0001"),
    ("{{0x1p4}} {{1_0.5}} {{123456789.0}} {{-0.0}}", "16 10.5 1.23456789e+08 -0"),
    ("{{9223372036854775807}} {{-9223372036854775808}}", "9223372036854775807 -9223372036854775808"),
    ("{{true}} {{false}}", "true false"),
    # fields and variables
    ("{{.device_1}}", "52:54:00:12:34:01"),
    ("{{ .hardware.spec.arch }}", "amd64"),
    ("{{(index .Hardware.Interfaces 0).DHCP.MAC}}", "52:54:00:12:34:01"),
    ("{{$.name}} {{with .hardware}}{{$.name}} {{.spec.cpu}}{{end}}", "node-01 node-01 8"),
    ("{{$x := .map}}{{$x.c.d}} {{($x).b}}", "deep 2"),
    ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
    ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
    ("{{$x := 1}}{{with $x := 5}}{{$x}}{{end}}{{$x}}", "51"),
    ("{{($x := 3)}}{{$x}}", "33"),
    ("{{$x := 1}}{{range .list}}{{$x}}{{$x := 2}}{{$x}}{{end}}", "121212"),
    ("{{$x := 1}}{{define `t`}}{{$x := 2}}{{$x}}{{end}}{{template `t`}}{{$x}}", "21"),
    ("{{if $x := .none}}yes{{else}}[{{$x}}]{{end}}", "[]"),
    ("{{$s := 0}}{{range .numbers}}{{$s = add $s .}}{{end}}{{$s}}", "6"),
    # printing
    ("{{.list}} {{.map}} {{.mixed}}", "[x y z] map[a:1 b:2 c:map[d:deep]] [a 1 true <nil> 2.5 [b] map[c:d]]"),
    ("{{.nothing}} {{.hardware.spec.empty}}", "[] map[]"),
    ("{{.yes}} {{.no}} {{.f}} {{.big}} {{.zero}} {{.minus}}", "true false 1.5 1.234567e+06 0 -7"),
    ("{{print 1 2 `a` 3 4.5 true nil}}|{{println `a` 1}}", "1 2a3 4.5 true <nil>|a 1\n"),
    ("{{print}}{{println}}", "\n"),
    # pipelines
    ("{{.name | upper | printf `%s!`}}", "NODE-01!"),
    ("{{1 | printf `%d-%d` 2}}", "2-1"),
    ("{{(.list | len) | add 1}}", "4"),
    ("{{printf `%v` (index .list (add 0 1 | int))}}", "y"),
    # conditions
    ("{{if .yes}}a{{end}}{{if .no}}b{{else}}c{{end}}", "ac"),
    ("{{if .none}}1{{else if .zero}}2{{else if .nothing}}3{{else if .null}}4{{else}}5{{end}}", "5"),
    ("{{if .none}}1{{else if .n}}2{{else}}3{{end}}", "2"),
    ("{{if .hardware.spec.empty}}1{{else}}2{{end}}{{if 0.0}}3{{else}}4{{end}}{{if .list}}5{{end}}", "245"),
    ("{{if and .yes (eq .n 3)}}a{{end}}{{if or .no .none}}b{{end}}", "a"),
    ("{{and 1 0 (fail `never`)}} {{or 0 2 (fail `never`)}} {{and 1 2}} {{or 0 0.0}} {{or .none}}|", "0 2 2 0 |"),
    ("{{.no | or 0}} {{.n | and 1}} {{.n | or 2}}", "false 3 2"),
    ("{{not .yes}} {{not .none}} {{not 0}}", "false true true"),
    ("{{with .map}}{{.a}}{{end}}{{with .none}}x{{else}}{{.n}}{{end}}", "13"),
    # range
    ("{{range .list}}<{{.}}>{{end}}", "<x><y><z>"),
    ("{{range $i, $e := .list}}{{$i}}{{$e}}{{end}}", "0x1y2z"),
    ("{{range $e := .list}}{{$e}}{{.}}{{end}}", "xxyyzz"),
    ("{{range $k, $v := .map}}{{$k}}={{$v}};{{end}}", "a=1;b=2;c=map[d:deep];"),
    ("{{range .nothing}}x{{else}}{{.n}}{{end}}{{range .null}}x{{else}}y{{end}}", "3y"),
    ("{{range $i, $x := .list}}{{if $i}},{{end}}{{$x}}{{end}}", "x,y,z"),
    ("{{range .list}}{{if eq . `y`}}{{continue}}{{end}}{{.}}{{end}}", "xz"),
    ("{{range .list}}{{if eq . `y`}}{{break}}{{end}}{{.}}{{end}}", "x"),
    ("{{range .list}}{{range $.numbers}}{{if eq . 1}}{{break}}{{end}}{{.}}{{end}}{{.}}{{end}}", "3x3y3z"),
    # named templates
    ("{{define `t`}}[{{.}}{{$}}]{{end}}{{template `t` .n}}{{template `t` `a`}}", "[33][aa]"),
    ("{{block `b` .list}}{{len .}}{{end}}", "3"),
    ("{{template `later` 1}}{{define `later`}}{{if .}}{{template `later` 0}}{{end}}.{{end}}", ".."),
    # comparison
    ("{{eq 1 1}} {{eq `a` `b`}} {{eq 3 1 2 3}} {{eq .null nil}} {{eq .n nil}} {{eq 1.5 .f}}", "true false true true false true"),
    ("{{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt `b` `a`}} {{ge 1.5 2.5}} {{ne .null nil}}", "true true true true false false"),
    # index, slice, len
    ("{{index .list 1}} {{index .map `c` `d`}} {{index .mixed 5 0}} {{index `abc` 1}} {{index .list | len}}", "y deep b 98 3"),
    ("{{if index .map `nope`}}a{{else}}b{{end}}", "b"),
    ("{{index .references.secret.data `my-key`}}", "v"),
    ("{{slice `abcdef` 1 3}} {{slice `abc` 1}} {{slice `abc`}} {{slice .list 1 2}} {{slice .list 3}}", "bc bc abc [y] []"),
    ("{{len .unicode}} {{len .list}} {{len .map}} {{len ``}}", "17 3 3 0"),
    # printf
    ("{{printf `%d|%5d|%-5d|%05d|%+d|% d|%x|%X|%o|%b|%c|%q|%U|%.3d` 5 5 5 5 5 5 255 255 8 5 65 65 65 7}}", "5|    5|5    |00005|+5| 5|ff|FF|10|101|A|'A'|U+0041|007"),
    ("{{printf `%d %x %05d %O` -5 -255 -42 8}}", "-5 -ff -0042 0o10"),
    ("{{printf `%s|%5s|%-5s|%.2s|%q|%x|%X|%v` `abc` `abc` `abc` `abc` `a\"b` `abc` `é` `z`}}", 'abc|  abc|abc  |ab|"a\\"b"|616263|C3A9|z'),
    ("{{printf `%f|%.2f|%8.3f|%-8.1f|%08.3f|%e|%g|%G|%.3g|%v|%+.1f` 1.5 1.5 1.5 1.5 -1.5 1.5 1e-7 1e-7 1234.5678 2.0 1.25}}", "1.500000|1.50|   1.500|1.5     |-001.500|1.500000e+00|1e-07|1E-07|1.23e+03|2|+1.2"),
    ("{{printf `%t|%6t|%v|%v|%v` true false nil .list .map}}", "true| false|<nil>|[x y z]|map[a:1 b:2 c:map[d:deep]]"),
    ("{{printf `%q %s %d %3d|%5v|` .list .list .numbers .numbers .numbers}}", '["x" "y" "z"] [x y z] [3 1 2] [  3   1   2]|[    3     1     2]|'),
    ("{{printf `100%% %*d|%-*d|%.*f` 4 7 4 7 2 1.5}}", "100%    7|7   |1.50"),
    ("{{printf `%5.1q|%5t` `é☃` true}}", '  "é"| true'),
    (r'{{printf "%q" "\x00\x7f\u2028\t\\é"}}', r'"\x00\x7f\u2028\t\\é"'),
    # text functions
    ("{{replace `:` `-` .device_1}} {{.device_1 | replace `:` ``}}", "52-54-00-12-34-01 525400123401"),
    ("{{replace `` `-` `abc`}} {{replace `x` `` `axbx`}}", "-a-b-c- ab"),
    ("{{contains `ode` .name}} {{hasPrefix `node` .name}} {{hasSuffix `02` .name}}", "true true false"),
    ("{{.references.secret.data.password | b64dec}} {{b64enc `héllo`}}", "s3cret aMOpbGxv"),
    ("{{join `,` .list}} {{join `-` .mixed}} {{join `,` `one`}} {{join `,` nil}}|", "x,y,z a-1-true-2.5-[b]-map[c:d] one |"),
    ("{{lower `ÀB`}} {{upper .unicode}} {{upper `ß`}}", "àb HÉLLO WÖRLD ☃ ß"),
    ("{{trim .text}}|{{trimSuffix `\n` .text}}|{{trimPrefix `one` .text | trim}}|{{trimSuffix `1` .name}}", "one\n  two|one\n  two|two|node-0"),
    ("{{regexMatch `a(arch|rm)` (lower (index .Hardware.Interfaces 0).DHCP.Arch)}}", "true"),
    ("{{indent 2 .text}}|{{nindent 4 `a\nb`}}|{{indent 0 ``}}", "  one\n    two\n  |\n    a\n    b|"),
    ("{{repeat 3 `ab`}}{{repeat 0 `x`}} {{`-` | repeat 5}}", "ababab -----"),
    ("{{quote .name}} {{quote 1 nil true `a\"b`}} {{squote .name 2 nil .list}}", "\"node-01\" \"1\" \"true\" \"a\\\"b\" 'node-01' '2' '[x y z]'"),
    ("{{toString 5}}{{toString .list}}{{toString nil}}", "5[x y z]<nil>"),
    ("{{splitList `,` `a,b,c`}} {{(split `.` `a.b`)._1}} {{split `,` `a,b`}} {{splitList `` `aé`}} {{len (splitList `,` ``)}}", "[a b c] b map[_0:a _1:b] [a é] 1"),
    # data functions
    ("{{dig `spec` `arch` `none` .hardware}} {{dig `spec` `nope` `x` `none` .hardware}} {{dig `a` 0 .map}}", "amd64 none 1"),
    ("{{default `d` .none}} {{.name | default `d`}} {{default 5 0}} {{default `d`}}", "d node-01 5 d"),
    ("{{first .list}} {{first .numbers}} {{len (first (list .list))}}", "x 3 3"),
    ("{{keys .map | sortAlpha}} {{sortAlpha .list}} {{sortAlpha .numbers}} {{sortAlpha `x`}}", "[a b c] [x y z] [1 2 3] [x]"),
    ("{{int `12`}} {{int `0x1f`}} {{int `010`}} {{int 3.9}} {{int true}} {{int nil}} {{int `5.00`}} {{int -2.5}}", "12 31 8 3 1 0 5 -2"),
    ("{{add 1 2 3}} {{add}} {{add `5` 1.9}}", "6 0 6"),
    ("{{list 1 `a` nil}} {{dict `a` 1 `b`}} {{(dict `k` .list).k}} {{list}} {{dict}}", "[1 a <nil>] map[a:1 b:] [x y z] [] map[]"),
    ("{{ternary `y` `n` true}} {{.no | ternary 1 2}}", "y 2"),
    ("{{empty .none}} {{empty .n}} {{empty nil}} {{coalesce .none 0 `c` `d`}}", "true false true c"),
    ("{{required `needed` .name}}", "node-01"),
    ("{{toYaml .map}}", "a: 1\nb: 2\nc:\n  d: deep\n"),
    ("{{toYaml .hardware.spec.tags}}{{toYaml `true`}}{{toYaml .text}}{{toYaml `a: b`}}", "- b\n- a\n\"true\"\n|\n  one\n    two\n'a: b'\n"),
    ("{{toYaml nil}}{{toYaml .nothing}}{{toYaml .hardware.spec.empty}}{{toYaml 1.5}}{{toYaml ``}}", "null\n[]\n{}\n1.5\n\"\"\n"),
    ("{{(fromYaml `{a: [1, two, 3.5, true, ~], b: {c: d}}`).a}}", "[1 two 3.5 true <nil>]"),
    ("{{fromYaml `- a\n- 'b'` | len}}", "2"),
    # hardware functions
    ("{{formatPartition ( index .Hardware.Disks 0 ) 1 }} {{formatPartition `/dev/sda` 2}}", "/dev/nvme0n1p1 /dev/sda2"),
    ("{{formatPartition `/dev/disk/by-id/wwn-0` 3}}", "/dev/disk/by-id/wwn-0-part3"),
    ("{{netmaskToPrefixLength (index .Hardware.Interfaces 0).DHCP.IP.Netmask}}", "24"),
    # from the field
    (
        "{{ range $i, $ns := (index .Hardware.Interfaces 0).DHCP.NameServers }}{{if $i}}, {{end}}{{$ns}}{{ end }}",
        "10.0.0.1, 10.0.0.2",
    ),
    ("actions:\n{{- if regexMatch `^a` .name }}\n- kexec\n{{- else }}\n- reboot\n{{- end }}\n", "actions:\n- reboot\n"),
    ("spec:{{ toYaml .hardware.spec.tags | nindent 2 }}", "spec:\n  - b\n  - a\n  "),
]  # fmt: skip

OURS: list[tuple[str, str]] = [
    ("{{range 3}}{{.}}{{end}}{{range $i := 2}}{{$i}}{{end}}{{range 0}}x{{else}}none{{end}}", "01201none"),  # Go 1.22
    ("{{with .none}}a{{else with .n}}b{{.}}{{else}}c{{end}}", "b3"),  # Go 1.23
    ("{{$x := 0}}{{range $x = .list}}{{end}}{{$x}}", "z"),  # Go 1.22; before, the wrong variable was set
    ("{{repeat (add 1 1) `x`}}", "xx"),  # Go's int and int64 are one kind here
    ("{{keys .map}}", "[a b c]"),  # sprig's order is random
    ("{{$x := `0644`}}{{toYaml $x}}{{(fromYaml `m: 0644`).m}} {{(fromYaml `{on: no}`).on}}", '"0644"\n0644 no'),  # YAML 1.2
]

REFUSED: list[str] = [
    "{{", "{{.a", "{{}}", "{{ }}", "{{/* }}", "{{/* */ x}}", "{{`}}", '{{"}}', "{{'}}", '{{"\n"}}', "{{''}}", "{{'ab'}}",
    r'{{"\q"}}', r'{{"\400"}}', r'{{"\ud800"}}', "{{-}}", "{{- -}}", "{{1x}}", "{{08}}", "{{1__0}}", "{{0x}}", "{{1e999}}",
    "{{9223372036854775808}}", "{{.a-b}}", "{{.name.}}", "{{..}}", "{{.name .n}}", "{{$}}{{$x}}",
    "{{$x := }}", "{{$x, $y := 1}}", "{{1 := 2}}", "{{nope}}", "{{nope 1}}", "{{nil}}", "{{nil | print}}", "{{1 | 2}}",
    "{{.n | .name}}", "{{(.n}}", "{{.n)}}", "{{()}}", "{{1.a}}", "{{true.a}}", "{{if}}x{{end}}", "{{if 1}}", "{{end}}",
    "{{else}}", "{{if 1}}{{else}}{{else}}{{end}}", "{{range .list}}{{else if 1}}{{end}}", "{{break}}", "{{continue}}",
    "{{if 1}}{{break}}{{end}}", "{{define `x`}}", "{{define x}}{{end}}", "{{if 1}}{{define `x`}}{{end}}{{end}}",
    "{{range .list}}{{block `b` .}}{{break}}{{end}}{{end}}", "{{$x := 1}}{{define `t`}}{{$x}}{{end}}",
    "{{template `nope`}}", "{{template}}", "{{block `x`}}{{end}}", "{{define `x`}}a{{end}}{{define `x`}}b{{end}}",
    "{{.nope}}", "{{.name.nope}}", "{{.null.x}}", "{{.hardware.spec.nope}}", "{{$.nope}}", "{{(index .map `nope`).x}}",
    "{{index .list 3}}", "{{index .list -1}}", "{{index .list `a`}}", "{{index .map 1}}", "{{index nil 1}}", "{{index 1 1}}",
    "{{len 3}}", "{{len nil}}", "{{slice 3}}", "{{slice `abc` 2 1}}", "{{slice `abc` 4}}", "{{range .name}}{{end}}",
    "{{range .yes}}{{end}}", "{{range 1.5}}{{end}}", "{{eq}}", "{{eq 1}}", "{{eq 1 `a`}}", "{{eq 1 1.0}}",
    "{{eq .list .list}}", "{{eq .map .map}}", "{{lt true false}}", "{{lt 1 `a`}}", "{{lt nil 1}}", "{{not}}", "{{not 1 2}}",
    "{{and}}", "{{or}}", "{{printf}}", "{{printf 1}}", "{{upper 1}}", "{{upper nil}}", "{{upper}}", "{{repeat `a` 1}}",
    "{{repeat 1.5 `a`}}", "{{repeat -1 `a`}}", "{{ternary 1 2 3}}", "{{dig `a` .map}}", "{{dig `a` 1 .name}}",
    "{{dig `a` `b` 1 .map}}", "{{first .name}}", "{{first nil}}", "{{keys .list}}", "{{fail `no`}}", "{{required `m` nil}}",
    "{{required `m` .none}}", "{{fromYaml ``}}", "{{fromYaml `a: b: c`}}", "{{netmaskToPrefixLength `x`}}",
    "{{formatPartition 1 1}}", "{{if 1}}{{$y := 1}}{{end}}{{$y}}",
    "{{($x := 1)}}{{if $x}}{{end}}{{$z}}", "{{.list.x}}", "{{\u2603}}", "{{.n!}}", "{{@}}", "{{:}}",
]  # fmt: skip
"""What Go refuses as well."""

STRICTER: list[str] = [
    "{{.null}}", "{{index .map `nope`}}", "{{first .nothing}}", "{{keys nil}}", "{{coalesce}}", "{{.n |}}",  # Go prints <no value>, or nothing
    "{{printf `%d` `x`}}", "{{printf `%d`}}", "{{printf `x` 1}}", "{{printf `%`}}", "{{printf `%z` 1}}", "{{printf `%!` 1}}",
    "{{printf `%s` 1}}", "{{printf `%d` .mixed}}", "{{printf `%T` 1}}", "{{printf `%#v` 1}}", "{{printf `%[1]d` 1}}",
    "{{printf `%*d` `a` 1}}", "{{b64dec `***`}}", "{{b64dec `/w==`}}", r'{{"\xff"}}', "{{slice `é` 1}}", "{{slice .list 0 1 2}}",
    "{{int `abc`}}", "{{int ``}}", "{{int .list}}", "{{int 1e30}}", "{{add 9223372036854775807 1}}", "{{regexMatch `(` `x`}}",
    "{{regexMatch `a**` `x`}}", r"{{regexMatch `\pL` `x`}}", "{{if 0}}{{template `nope`}}{{end}}",
    "{{netmaskToPrefixLength `255.0.255.0`}}", "{{formatPartition `/dev/sda` 0}}", "{{formatPartition `` 1}}",
    "{{fromYaml `{a: 1, a: 2}`}}", "{{fromYaml `[&a 1, *a]`}}", "{{fromYaml `!!set {a}`}}", "{{fromYaml `{[a]: b}`}}",
    "{{1i}}", "{{1+2i}}", "{{html `<`}}", "{{js `x`}}", "{{urlquery `x`}}", "{{call .n}}",
]  # fmt: skip
"""What Go lets through as nonsense in the text, or later, and gitboot refuses."""
