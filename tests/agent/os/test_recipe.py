"""What goes into the OS, as names."""

from __future__ import annotations

import pytest

from agent.os.recipe import ARCHITECTURES, BINARIES, DRIVERS, KERNELS, Recipe, checksums, closure, package_of

LISTING = """\
insmod /lib/modules/6.1/kernel/drivers/virtio/virtio_ring.ko
builtin virtio_pci_modern
insmod /lib/modules/6.1/kernel/drivers/net/virtio_net.ko napi_tx=true
insmod /lib/modules/6.1/kernel/drivers/virtio/virtio_ring.ko
"""


def test_the_modules_of_a_listing_come_once_and_in_the_order_in_which_they_load() -> None:
    folder = "/lib/modules/6.1/kernel/drivers"
    assert closure(LISTING) == [f"{folder}/virtio/virtio_ring.ko", f"{folder}/net/virtio_net.ko"]


def test_a_package_is_told_by_its_file() -> None:
    assert package_of("kexec-tools_1%3a2.0.25-3_amd64.deb") == {"name": "kexec-tools", "version": "1:2.0.25-3"}


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_each_architecture_and_flavour_has_its_kernel_package(arch: str, kernel: str) -> None:
    (package,) = (name for name in Recipe(arch, kernel).packages if name.startswith("linux-image-"))
    assert package == {"generic": f"linux-image-{arch}", "cloud": f"linux-image-cloud-{arch}"}[kernel]


def test_firmware_is_one_more_package() -> None:
    assert Recipe(firmware=("firmware-bnx2",)).packages[-1] == "firmware-bnx2"


def test_no_driver_is_named_twice() -> None:
    assert sorted(DRIVERS) == sorted(set(DRIVERS))


@pytest.mark.parametrize("name", ["dockerd", "python3.13", "python3", "modprobe", "kexec"])
def test_what_the_os_runs_stays(name: str) -> None:
    assert BINARIES.fullmatch(name)


@pytest.mark.parametrize("name", ["docker", "apt-get", "perl", "python3-config", "busybox.old"])
def test_what_it_does_not_run_goes(name: str) -> None:
    assert not BINARIES.fullmatch(name)


def test_checksums_are_what_sha256sum_checks() -> None:
    assert checksums([("vmlinuz", "b" * 64), ("initrd.img", "a" * 64)]) == f"{'a' * 64}  initrd.img\n{'b' * 64}  vmlinuz\n"
