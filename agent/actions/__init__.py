"""The standard actions: small programs that the images of a workflow run, `python3 -m agent.actions.disk_wipe` for `disk-wipe`.

Core: a list. Standard library and the tools of these Debian packages only; one file system with all of them is the layer that
all images share. `docs/actions.md` is the reference.
"""

PACKAGES = (
    "btrfs-progs",
    "bzip2",
    "ca-certificates",
    "coreutils",
    "cryptsetup-bin",
    "dash",
    "dmsetup",
    "dosfstools",
    "e2fsprogs",
    "efibootmgr",
    "fdisk",
    "gdisk",
    "grub-common",
    "grub2-common",
    "gzip",
    "hdparm",
    "kexec-tools",
    "kmod",
    "lvm2",
    "mdadm",
    "mount",
    "nvme-cli",
    "python3",
    "qemu-utils",
    "tar",
    "util-linux",
    "xfsprogs",
    "xz-utils",
    "zstd",
)
"""Names in Debian 12 and later."""
