"""Masks: no secret behind a name, an option or a mark is shown, and what is no secret can be read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.masks import masked, masked_text
from netboot.plan import Profile
from reconciler.diff import MASKED_AWAY, changed
from reconciler.facts import profile_facts
from tests.netboot.plan_example import plan

NAMES = """
    password passwd passphrase secret token api_key apiKey private_key rsa_private_key DB_PASS DBPASS pass ADMIN_PWD pwd
    wpa_psk WIFI_PSK BASIC_AUTH auth AUTH_TOKEN bearer LUKS_KEY LUKS_KEY_1 luksKey rd.luks.key host-key access_key credential
    X-Amz-Signature hashed_passwd plain_text_passwd rd.iscsi.password chpasswd
""".split()  # noqa: SIM905 - read at a glance
FORMS = (
    "{name}={word}",
    "quiet {name}={word} ro",
    'quiet {name}="{text}" ro',
    'quiet "{name}={text}" ro',
    "docker run -e '{name}={text}' image",
    "[app]\n{name} = {text}\nport = 1",
    "http://a.example/?x=1&{name}={word}&y=2",
    "{name}: {text}",
    "a: 1\n- {name}: {text}\nb: 2",
    '{name}: "{text}"',
    "{name}: '{text}' # as it was",
    "{name}: correct\n  {text}\n  battery\nb: 2",
    "a:\n  {name}: |\n    {text}\n\n    {text}\n  b: 2",
    "{name}: >-\n  {text}\nb: 2",
    "{name}: !!binary |\n  {text}",
    "{name}:\n- {text}\n- {text}\nb: 2",
    "{name}:\n  list: |\n    root:{word}\nb: 2",
    "users:\n- {{name: a, {name}: {word}}}",
    '{{"a": 1, "{name}": "{text}", "b": 2}}',
    '{{\n  "{name}": "{text}",\n  "b": 2\n}}',
    "curl -H '{name}: {text}' http://a.example/",
    "tool --{name} {word} more",
    "tool --{name} '{text}' more",
    "tool --{name}={word} more",
    "tool --{name} \\\n  {word} more",
    '["tool", "--{name}", "{text}"]',
    "- tool\n- --{name}\n- {word}\n- more",
)
MARKED = (
    "curl -u joe:{word} http://a.example/",
    "curl -u 'joe:{text}' http://a.example/",
    "curl -ujoe:{word}",
    "curl --user=joe:{word}",
    "[curl, -u, joe:{word}]",
    "curl -H 'Authorization: Bearer {word}'",
    "Authorization: Basic {word}",
    "Bearer {word}",
    "https://joe:{word}@a.example/b",
    "netroot=iscsi:joe:{word}@10.0.0.1::::iqn.x",
    "http://a.example/?sig={word}",
    "http://a.example/?key={word}&a=b",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{word}\n{word}\n-----END OPENSSH PRIVATE KEY-----\n",
    "content: |\n  -----BEGIN PRIVATE KEY-----\n  {word}\n  -----END PRIVATE KEY-----\n",
    '"-----BEGIN RSA PRIVATE KEY-----\\n{word}\\n-----END RSA PRIVATE KEY-----"',
    "-----BEGIN EC PRIVATE KEY-----\n{word}\n",
    "chpasswd:\n  list: |\n    root:{word}\n",
    "runcmd:\n- echo 'root:{text}' | chpasswd\n",
    "echo -n {word} | sudo cryptsetup luksFormat /dev/sda -",
    "chpasswd <<EOF\nroot:{word}\nEOF\n",
    "rootpw --plaintext {word}",
    "d-i passwd/root-password password {text}",
    "machine a login joe password {word}",
    "set net0/password {text}",
    "auth=joe:{word} quiet",
)
MARK = "hunter2"
"""Stands in each secret, so that it is known again whatever is around it."""
word = st.from_regex(rf"[A-Za-z0-9+_.$!%]{{0,6}}{MARK}[A-Za-z0-9+/=_.!%-]{{0,6}}", fullmatch=True)
words = st.builds(" ".join, st.lists(word, min_size=1, max_size=3))


@given(st.sampled_from(NAMES), st.sampled_from(FORMS), word, words)
def test_what_stands_behind_a_secret_s_name_is_never_shown(name: str, form: str, one: str, text: str) -> None:
    whole = form.format(name=name, word=one, text=text)
    assert MARK not in masked_text(whole), whole


@given(st.sampled_from(MARKED), word, words)
def test_what_an_option_or_a_mark_announces_is_never_shown(form: str, one: str, text: str) -> None:
    whole = form.format(word=one, text=text)
    assert MARK not in masked_text(whole), whole


@pytest.mark.parametrize("name", [*NAMES, "KEY"])
@pytest.mark.parametrize("setting", ["workflow a action b/c env {}", "profile a kernel argument {}", "label {}"])
def test_a_setting_of_such_a_name_is_masked_whole(setting: str, name: str) -> None:
    assert masked(setting.format(name), "correct horse\nbattery") == "***"


@given(st.lists(st.sampled_from([*(each.format(name="password", word="x", text="x y") for each in FORMS), "a: b", ""])))
def test_what_is_masked_has_as_many_lines(texts: list[str]) -> None:
    whole = "\n".join(texts)
    assert masked_text(whole).count("\n") == whole.count("\n")


@pytest.mark.parametrize(
    "text",
    [
        "console=ttyS0,115200 console=tty0 quiet ip=dhcp",
        "keymap=de vconsole.keymap=de monkey=1 passthrough=on iommu=pt module.sig_enforce=1 keyboard=us bypass=1",
        "root=/dev/sda1 rd.luks.uuid=1b3e authorized_keys=/etc/keys ssh_authorized_keys=/x",
        "https://images.example:8443/auth/token-server/a.img.zst?version=3&arch=x86_64",
        "registry.example:5000/auth:1.2 ghcr.io/a/token:v1",
        "IMG_SHA256=0123456789abcdef0123456789abcdef",
        "ssh_authorized_keys:\n- ssh-ed25519 AAAAC3Nza ann@example\npublic_key: ssh-rsa AAAA",
        "users:\n- name: ann\n  lock_passwd: true\n  shell: /bin/bash\nssh_pwauth: false",
        "packages:\n- passwd\n- openssh\nruncmd:\n- [systemctl, enable, --now, sshd]",
        "mkfs.ext4 -L root -U random /dev/sda1 && mount -o ro /dev/sda1 /mnt",
        "# a comment on passwords and keys, of no secret",
        "sha256 0123456789ab, 12 bytes, from http://a.example/monkey.img",
    ],
)
def test_what_is_no_secret_can_be_read(text: str) -> None:
    assert masked_text(text) == text


@pytest.mark.parametrize("name", ["IMG_URL", "IMG_SHA256", "MONKEY", "KEYMAP", "SSH_AUTHORIZED_KEYS", "PUBLIC_KEY", "COMPASS"])
def test_a_variable_of_another_name_can_be_read(name: str) -> None:
    assert masked(f"workflow a action b/c env {name}", "http://a.example/x") == "http://a.example/x"


HOSTILE = [
    "- " * 30_000,
    "{token: a, " * 10_000,
    "{" * 30_000 + " token: a," * 2_500,
    "set " + "token" * 12_000,
    "iscsi:" * 10_000,
    "passwd" * 10_000,
]


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: str(line[:12].strip()))
def test_a_line_does_not_cost_the_square_of_its_length(line: str) -> None:
    """Each took five seconds and more, in which nobody else was served, where it takes a few tenths now."""
    began = time.process_time()
    masked_text(line)
    assert time.process_time() - began < 2.0


def test_only_the_secret_is_hidden() -> None:
    assert "quiet k3s.token=*** ro" == masked_text("quiet k3s.token=hunter2 ro")
    assert "http://x/?sig=***&a=b" == masked_text("http://x/?sig=abc&a=b")
    assert "a: 1\npassword: ***\n  ***\nb: 2" == masked_text("a: 1\npassword: |\n  hunter2\nb: 2")
    assert "curl -u joe:*** http://x --password *** -v" == masked_text("curl -u joe:hunter2 http://x --password hunter2 -v")


def test_of_a_text_the_line_that_differs_behind_its_mask_says_so() -> None:
    old = "users: 1\npassword: hunter2\nshell: a\n"
    (setting,) = changed({"user-data": old}, {"user-data": old.replace("hunter2", "hunter3").replace(": a", ": b")})
    assert f"users: 1\npassword: ***{MASKED_AWAY}\nshell: b\n" == setting.after


def test_words_of_a_command_line_are_those_of_the_kernel() -> None:
    """Else the second word of a password would be an argument of its own."""
    facts = profile_facts(plan(), Profile("a", kernel="k", cmdline='quiet password="correct horse" ro'))
    names = [name.rpartition(" ")[2] for name in facts if " kernel argument " in name]
    assert ["quiet", "password", "ro"] == names
