"""Inventories for tests: small ones that are right, to be broken in one place, and one that uses everything."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha1
from pathlib import Path

from reconciler.inventory import Inventory
from reconciler.problems import Problem
from reconciler.reader import Reader
from reconciler.snapshot import Entry, Snapshot

EXAMPLE = Path(__file__).parents[2] / "example-inventory"
SECRETS = Path(__file__).parent / "secrets"
"""Made once with tests/secret_documents.py, whose key opens them."""

SITE = """\
apiVersion: gitboot/v1
kind: Site
metadata: {name: home}
spec:
  subnets:
  - {name: rack1, cidr: 10.1.0.0/16, gateway: 10.1.0.1, range: [10.1.200.1, 10.1.200.250]}
"""

MACHINE = """\
apiVersion: gitboot/v1
kind: Hardware
metadata: {name: node-01, labels: {rack: r1}}
spec:
  profile: inspect
  interfaces:
  - {mac: "52:54:00:12:34:01", address: 10.1.0.11, hostname: node-01}
"""

PROFILE = """\
apiVersion: gitboot/v1
kind: Profile
metadata: {name: inspect}
spec: {kernel: inspect/vmlinuz}
"""

TEMPLATE = """\
apiVersion: gitboot/v1
kind: Template
metadata: {name: look}
spec:
  tasks:
  - name: look
    actions:
    - {name: look, image: "look:v1", timeout: 60}
"""

BARE = """\
version: "0.1"
name: bare
tasks:
- name: look
  worker: "{{ .device_1 }}"
  actions:
  - {name: look, image: "look:v1", timeout: 60}
"""

WORKFLOW = """\
apiVersion: gitboot/v1
kind: Workflow
metadata: {name: look-at-01}
spec: {template: look, hardware: node-01}
"""

SOUND = {
    "hardware.yaml": MACHINE,
    "profile.yaml": PROFILE,
    "site.yaml": SITE,
    "template.yaml": TEMPLATE,
    "workflow.yaml": WORKFLOW,
}
"""The least that gives a machine work."""

RICH = {
    "all.yaml": """\
apiVersion: gitboot/v1
kind: Site
metadata: {name: big, annotations: {owner: somebody}}
spec:
  domain: lab.example
  server: 10.1.0.2
  dhcp: {mode: reservation}
  unknown: wait
  artifacts: {unverified: warn}
  bootTimeout: 45m
  images:
    prefix: registry.lab.example/gitboot
    archives: [actions.tar]
    insecureRegistries: ["10.1.0.1:5000"]
    pullSecrets: [{registry: registry.lab.example, secretRef: {name: registry, key: login}}]
    requireDigest: true
  dns: {upstreams: [192.0.2.53]}
  trustedProxies: [10.1.0.5/32, 192.0.2.0/24]
  policy:
    limits:
    - {change: destructive, machines: 10}
    - {change: move, share: 25%, per: "label:rack"}
    windows:
    - {days: [sat, sun], from: 22:00, to: 05:00}
    rolling: {atOnce: 4, stopAfter: 2}
    approvers:
    - {signer: ann, may: [destructive, loosen]}
  trust:
    commits: required
    signers:
    - name: ann
      ssh: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOQV+lHuP4GDMQtlNDOaUtQJw2wTqIeI8OztBa4Cf+UM ann@lab.example
      validAfter: 2026-01-01
      validBefore: 2027-01-01T12:00:00Z
    - name: bob
      gpg: |
        -----BEGIN PGP PUBLIC KEY BLOCK-----

        mDMEawBxixYJKwYBBAHaRw8BAQdAyo6KOcqqIJnzvjyb3AIlplXwGxAy/9Kh7Kno
        RQWb7mC0CUFubiA8YUBiPoiQBBMWCAA4FiEEACCgw/hMc4N75yIWtBZi0HQ5G48F
        AmsAcYsCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQtBZi0HQ5G4/dPgEA
        mZa48mLNmIbB1KMHxJQP1U74JzG6bw//msT8hQnRPXkA/2TFxN/46n4GbgN6KCrs
        wvS+fD8yi80QAyxhLkAQbaMI
        =fprX
        -----END PGP PUBLIC KEY BLOCK-----
  metadata:
    tokens: required
    publicKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMB4x0bzFcCcIP4aP9fHGWHOCzKhTn2Bzwqg2nJgQ0fI everybody"]
  vendorData: "#cloud-config\\npackages: [chrony]\\n"
  subnets:
  - &rack
    name: rack1
    cidr: 10.1.0.0/16
    gateway: 10.1.0.1
    nameServers: [10.1.0.1, 10.1.0.3]
    timeServers: [10.1.0.1]
    leaseTime: 1h30m
    range: [10.1.200.1, 10.1.200.250]
    domain: rack1.lab.example
    options: {119: [lab.example], log-servers: [10.1.0.9]}
  - {<<: *rack, name: rack2, cidr: 10.2.0.0/24, gateway: 10.2.0.1, range: [10.2.0.200, 10.2.0.210]}
---
apiVersion: gitboot/v1
kind: Profile
metadata: {name: inspect}
spec:
  kernel: inspect/vmlinuz
  initrd:
  - inspect/initrd.img
  - {url: "https://images.example/more.img", sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}
  cmdline: >-
    console=ttyS0
    quiet
  pxelinux: "DEFAULT a\\nLABEL a\\n  KERNEL inspect/vmlinuz\\n  APPEND quiet ${gitboot}\\n"
  handover: exit
---
apiVersion: gitboot/v1
kind: Profile
metadata: {name: remote}
spec:
  kernel: &file {url: "https://x.example/vmlinuz", sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}
  initrd: [*file]
---
apiVersion: gitboot/v1
kind: Profile
metadata: {name: menu}
spec: {chain: "http://boot.example/${net0/mac}.ipxe"}
---
apiVersion: gitboot/v1
kind: Profile
metadata: {name: shell}
spec:
  script: |
    #!ipxe
    shell
""",
    "machines/a.yml": """\
apiVersion: gitboot/v1
kind: Hardware
metadata: {name: node-01, labels: {rack: r1, unit: 07}}
spec:
  arch: aarch64
  profile: inspect
  idle: profile:menu
  handover: sanboot
  loader: shim
  rpi: {serial: "10000000D7BB3E8B", firmware: rpi4, config: "arm_64bit=1\\n"}
  interfaces:
  - mac: 52-54-00-12-34-AB
    address: 10.1.0.11
    hostname: Node-01
    gateway: 10.1.0.3
    nameServers: []
    leaseTime: 600
    domain: special.example
    options: {root-path: "10.1.0.1:/srv/root"}
  - {mac: 5254.0012.34ac, subnet: rack2, hostname: node-01-b, netboot: false}
  - {mac: 5254001234ad, address: 10.2.0.5, dhcp: false, vlan: 42}
  - {mac: 5254001234ae, subnet: rack2}
  - {mac: 5254001234af}
  bonds:
  - {name: bond0, mode: 802.3ad, interfaces: [5254001234ae, 5254001234af], address: 10.2.0.6}
  disks:
  - {name: root, serial: S3Z9, size: 480G}
  - {name: data, wwn: 0x5002538e40b1a2c3}
  - {name: logs, path: /dev/vdb, size: 512Gi}
  metadata:
    instanceId: node-01-2
    publicKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMB4x0bzFcCcIP4aP9fHGWHOCzKhTn2Bzwqg2nJgQ0fI own"]
  userData: |
    #cloud-config
    timezone: Europe/Berlin
  vendorData: ""
  protect: true
  storage:
    disks:
    - device: /dev/disk/by-gitboot/root
      wipe_table: true
      partitions:
      - {label: EFI, number: 1, size: 512Mi, start: 2048, type_guid: C12A7328-F81F-11D2-BA4B-00A0C93EC93B}
      - {label: LINUX, number: 2, size: 40960}
      - {label: LINUX, number: 3}
    raid:
    - {name: md0, level: 1, devices: [/dev/disk/by-gitboot/data, /dev/disk/by-gitboot/logs, /dev/sdz], spare: 1}
    luks:
    - {name: secret, device: /dev/disk/by-gitboot/root-part3, key: {file: /secrets/key}}
    - {name: other, device: /dev/vg0/home, key: {environment: LUKS_KEY}}
    volume_groups:
    - name: vg0
      physical_volumes: [/dev/mapper/secret]
      tags: [system]
      logical_volumes:
      - {name: root, size: 20G, tags: [root], opts: [--type=linear]}
      - {name: home}
    filesystems:
    - mount:
        device: /dev/vg0/root
        format: ext4
        point: /
        create: {force: true, options: [-L, ROOT]}
        files: [{path: /etc/motd, contents: welcome, mode: 0644, uid: 0, gid: 0}]
    - mount: {device: /dev/disk/by-gitboot/root-part1, format: vfat, point: /boot/efi}
    - mount: {device: /dev/mapper/other, format: xfs, point: /home}
    - mount: {device: /dev/disk/by-gitboot/root-part2, format: swap}
    - mount: {device: /dev/md0, format: ext4, point: /srv}
""",
    "templates/bare.yaml": BARE,
    "templates/structured.yaml": """\
apiVersion: gitboot/v1
kind: Template
metadata: {name: debian}
spec:
  version: 0.1
  name: debian
  global_timeout: 30m
  then: kexec
  tasks:
  - name: install
    worker: "{{ .device_1 }}"
    volumes: ["/dev:/dev"]
    environment: {MODE: 0644, COMPRESSED: true}
    actions:
    - name: stream
      image: quay.io/example/image2disk:v1
      command: [stream, --retries, 3]
      timeout: 600
      volumes: ["/lib/firmware:/lib/firmware:ro"]
      environment: {DISK: "{{ .disk }}", VERSION: 3.86}
      retries: 2
      on-failure: [report, failure]
      on-timeout: [report, timeout]
      secrets:
      - {secretRef: {name: database, key: password}, env: PGPASSWORD}
      - {secretRef: {name: database, key: client-key}, file: /run/secrets/client.pem}
    - {name: restart, image: "reboot:v1", pid: host, timeout: "{{ .limit }}", if: always}
""",
    "templates/text.yaml": """\
apiVersion: gitboot/v1
kind: Template
metadata: {name: text}
spec:
  data: |
    version: "0.1"
    name: text
    {{ if .device_1 }}
    tasks:
    - name: look
      actions: [{name: look, image: "look:v1", timeout: 60}]
    {{ end }}
""",
    "secrets/database.yaml": (SECRETS / "database.yaml").read_text(),
    "secrets/registry.yaml": (SECRETS / "registry.yaml").read_text(),
    "work.json": """\
{
\t"apiVersion": "gitboot/v1", "kind": "Workflow", "metadata": {"name": "install"},
\t"spec": {
\t\t"template": "debian", "hardware": {"matchLabels": {"rack": "r1", "unit": "07"}},
\t\t"hardwareMap": {"device_1": "52:54:00:12:34:ab", "disk": "/dev/sda", "limit": 90},
\t\t"run": 2, "repeat": "everyBoot", "resets": 3, "profile": "shell", "overwrites": ["debian-11"],
\t\t"retry": 2, "onFailure": "poweroff", "pendingTimeout": "15m", "cancel": true
\t}
}
""",
}
"""Every kind and every field, in every way of writing that is allowed."""


def snapshot(files: Mapping[str, str | bytes], revision: str = "1f0c") -> Snapshot:
    """A commit of these files, by path."""
    contents: dict[str, bytes] = {}
    entries: list[Entry] = []
    for path in sorted(files):
        text = files[path]
        data = text.encode() if isinstance(text, str) else text
        blob = sha1(data).hexdigest()
        contents[blob] = data
        entries.append(Entry(path, "file", blob, len(data)))
    return Snapshot(revision, tuple(entries), contents)


def example() -> dict[str, str | bytes]:
    """The files of example-inventory/, by path."""
    files = sorted(EXAMPLE.rglob("*.yaml"))
    return {str(file.relative_to(EXAMPLE)): file.read_bytes() for file in files}


def read(files: Mapping[str, str | bytes]) -> Inventory:
    """The inventory that these files are. They must be right."""
    inventory, problems = Reader().read(snapshot(files))
    assert inventory is not None, [str(problem) for problem in problems]
    return inventory


def problems(files: Mapping[str, str | bytes]) -> tuple[Problem, ...]:
    return Reader().read(snapshot(files))[1]


def brief(files: Mapping[str, str | bytes]) -> list[str]:
    """The problems as `code path` each."""
    return [f"{problem.code} {problem.path}".rstrip() for problem in problems(files)]
