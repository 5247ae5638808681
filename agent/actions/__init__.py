"""The standard actions: small programs that the images of a workflow run, `python3 -m agent.actions.disk_wipe` for `disk-wipe`.

Core: a list. Standard library and the tools of these Debian packages only; one file system with all of them is the layer that
all images share. `docs/actions.md` is the reference.
"""

PACKAGES = (
    "btrfs-progs",
    "busybox",
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

PROGRAMS = (
    *("blkdiscard", "blkid", "blockdev", "btrfs", "bunzip2", "busybox", "bzip2", "cat", "chroot", "cryptsetup"),
    *("dash", "dmsetup", "e2fsck", "efibootmgr", "grub-install", "gzip", "hdparm", "kexec", "kmod", "losetup", "lsblk"),
    *("lvchange", "lvcreate", "lvm", "mdadm", "mke2fs", "mkfs.btrfs", "mkfs.ext2", "mkfs.ext3", "mkfs.ext4"),
    *("mkfs.fat", "mkfs.vfat", "mkfs.xfs", "mkswap", "modprobe", "mount", "nvme", "partx", "pvcreate", "pvresize"),
    *("qemu-img", "resize2fs", "sfdisk", "sh", "sync", "tar", "udevadm", "umount", "vgchange", "vgcreate", "wipefs"),
    *("xfs_growfs", "xz", "zstd"),
)
"""What stays of the packages' programs, beside Python: what an action calls, or a program that one calls (GRUB asks udevadm
where a partition begins)."""

APPLETS = (
    *("awk", "basename", "cmp", "cp", "cut", "date", "dd", "df", "diff", "dirname", "dmesg", "du", "echo", "env"),
    *("expr", "false", "find", "free", "grep", "head", "hexdump", "hostname", "id", "ip", "kill", "less", "ln", "ls"),
    *("mkdir", "mktemp", "mv", "nproc", "od", "ping", "pidof", "printf", "ps", "pwd", "readlink", "realpath", "rm"),
    *("rmdir", "sed", "seq", "sha256sum", "sleep", "sort", "stat", "tail", "tee", "test", "time", "timeout", "touch"),
    *("tr", "true", "uname", "uniq", "vi", "wc", "wget", "which", "xargs", "yes"),
)
"""What a script of a workflow may call beside those: busybox under these names, in less than a megabyte."""
