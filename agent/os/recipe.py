"""What the in-memory OS is made of: Debian's packages, which drivers, and what of all that is left out.

Core. Law: everything that a reader may want to change is a name in here, and how the names become two files is `build.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ARCHITECTURES = ("amd64", "arm64")
KERNELS = ("generic", "cloud")
"""`generic` has the drivers of real servers; `cloud` those of virtual machines, and starts faster."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """`firmware`: further packages whose /lib/firmware is wanted."""

    arch: str = "amd64"
    kernel: str = "generic"
    firmware: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        flavour = f"cloud-{self.arch}" if self.kernel == "cloud" else self.arch
        return (*PACKAGES, f"linux-image-{flavour}", *self.firmware)


PACKAGES = (
    "busybox-static",  # the shell, DHCP, mount: all of init's tools
    "kmod",  # loads drivers by alias from an index; busybox would read 30,000 lines of text each time
    "kexec-tools",
    "docker.io",  # with containerd and runc
    "pigz",  # dockerd unpacks layers with it where it finds it: the first action of an emulated machine ends 5 s sooner
    "python3-docker",  # with Python
    "tiny-initramfs",  # satisfies what a kernel package depends on with less than initramfs-tools would
)

STAGE1_MODULES = ("loop", "squashfs", "overlay")
"""What it takes to come to the root file system."""

_DRIVERS = """
virtual machines: virtio_pci virtio_mmio virtio_net virtio_blk virtio_scsi virtio_rng vmxnet3 vmw_pvscsi hv_netvsc hv_storvsc
xen: xen_netfront xen_blkfront
intel: e1000 e1000e igb igbvf igc ixgbe ixgbevf i40e iavf ice
broadcom, marvell, chelsio, cisco: bnx2 bnx2x bnxt_en tg3 be2net qede qlcnic netxen_nic cxgb4 enic sky2 skge atlantic
mellanox and others: mlx4_en mlx5_core nfp ena sfc r8169 8139cp 8139too pcnet32 forcedeth atl1c alx jme
usb network cards: usbnet cdc_ether cdc_ncm r8152 asix ax88179_178a
on arm boards: hns3 nicpf nicvf thunder_bgx mvneta mvpp2 macb stmmac dwmac_generic genet fsl_dpaa2_eth xgene_enet
disks: nvme ahci ata_piix ata_generic sata_mv sata_nv sata_sil24 sata_via pata_amd sd_mod sr_mod sg ses
controllers: megaraid_sas megaraid_mbox mpt3sas mptsas mptspi hpsa aacraid smartpqi arcmsr 3w_9xxx 3w_sas isci mvsas pm80xx
on arm servers: hisi_sas_v3_hw
network storage: qla2xxx lpfc bfa fnic qedf bnx2fc be2iscsi
usb: xhci_pci xhci_plat_hcd ehci_pci ohci_pci uhci_hcd usbhid hid_generic usb_storage uas
cards: sdhci_pci sdhci_acpi mmc_block
block layers: dm_mod dm_crypt dm_thin_pool dm_snapshot dm_mirror dm_raid raid0 raid1 raid10 raid456 linear
file systems: ext4 xfs btrfs vfat nls_cp437 nls_ascii nls_iso8859_1 nls_utf8 isofs efivarfs
networks: 8021q bonding bridge
checksums: crc32c_generic crc32c_intel crct10dif_generic crct10dif_pclmul
ciphers: xts cbc ecb sha256_generic sha256_ssse3 aes_generic aesni_intel
management: ipmi_si ipmi_devintf tpm_tis tpm_crb iTCO_wdt i6300esb
"""
DRIVERS = tuple(word for line in _DRIVERS.splitlines() for word in line.partition(":")[2].split())
"""Modules; what they depend on comes by itself. A kernel that has one built in, or not at all, has no file of that name."""

LEFT_OUT = (
    *("boot", "tmp", "var", "usr/games", "usr/include", "usr/libexec/docker", "usr/local", "usr/share", "usr/src"),
    *(
        f"usr/lib/{name}"
        for name in (
            *("binfmt.d", "cni", "init", "lsb", "mime", "systemd", "tiny-initramfs", "tmpfiles.d", "udev", "usrmerge"),
            *("valgrind", "xen-*"),
        )
    ),
    *(f"usr/lib/*-linux-gnu/{name}" for name in ("audit", "gconv", "krb5", "perl*", "security", "tiny-initramfs", "xtables")),
    *(
        f"usr/lib/*-linux-gnu/lib{name}*"
        for name in (
            *("db-", "gdbm", "ip4tc", "ip6tc", "nft", "nfnet", "perl", "sqlite", "xlutil", "xtables"),
            *("xenfsimage", "xenguest", "xenlight", "xenstat", "xenvchan"),
        )
    ),
    *(
        f"usr/lib/python3*/{name}"
        for name in (
            *("config-*", "curses", "dbm", "doctest.py", "ensurepip", "idlelib", "lib2to3", "pydoc.py", "pydoc_data"),
            *("sqlite3", "test", "tkinter", "turtle.py", "turtledemo", "unittest", "wsgiref"),
        )
    ),
)
"""Globs below the root: documentation, what maintainer scripts need, what belongs to other programs of a package."""
ETC = re.compile(r"ethertypes|ld\.so\.conf(\.d)?|modprobe\.d|netconfig|protocols|python3.*|services|ssl")
"""What stays of /etc; the rest belongs to programs that are left out, or to the host that builds."""
BINARIES = re.compile(
    r"busybox|kmod|python3(\.\d+)?|containerd|containerd-shim-runc-v2|dockerd|docker-init|runc|kexec|unpigz"
    r"|depmod|insmod|lsmod|modinfo|modprobe|rmmod"
)
"""What stays of /usr/bin and /usr/sbin."""


def closure(listing: str) -> list[str]:
    """The module files in what `modprobe --show-depends` prints, each once, in the order in which they are to be loaded."""
    return list(dict.fromkeys(re.findall(r"^insmod (\S+)", listing, re.MULTILINE)))


def package_of(file: str) -> dict[str, str]:
    """`busybox-static_1%3a1.35.0-4_amd64.deb` → name and version."""
    name, version, _ = file.split("_")
    return {"name": name, "version": version.replace("%3a", ":")}


def checksums(digests: Iterable[tuple[str, str]]) -> str:
    """(file, SHA-256) as `sha256sum --check` reads them."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests))
