"""What U-Boot runs first: a script that asks for the machine's next step, over and over.

Core. U-Boot reads PXELINUX's configurations (`pxe get`), but by itself it reads one, once, and is left at its prompt when that
fails or says to wait. Its boot command asks a DHCP server for `boot.scr.uimg` (doc/develop/distro.rst of U-Boot), and obeys
that; so it is the same for all machines, and everything a machine is told comes from its configuration.
"""

from __future__ import annotations

import struct
from zlib import crc32

from netboot.ipxe import RETRY_SECONDS

NAME = "boot.scr.uimg"

SCRIPT = f"""\
setenv localcmd 'for target in ${{boot_targets}}; do
  if test ${{target}} != dhcp -a ${{target}} != pxe; then
    run bootcmd_${{target}} || bootflow scan -b ${{target}}
  fi
done'
while true; do
  echo gitboot: asking for the next step
  if pxe get; then
    pxe boot
  fi
  sleep {RETRY_SECONDS}
done
"""
"""`localcmd` is what LOCALBOOT means: every boot target but the network, as U-Boot with its older boot command has them in
variables, or the newer one (`bootflow`) by name.
"""
_MAGIC, _LINUX, _ARM64, _SCRIPT, _PLAIN = 0x27051956, 5, 22, 6, 0
_HEADER = struct.Struct(">7I4B32s")
"""include/image.h of U-Boot: magic, the header's checksum, time, size, two addresses, the data's checksum, then what it is."""


def script_image(script: str = SCRIPT) -> bytes:
    """The script as `source` takes it: a header and a list of one part, its length and a zero. The same bytes every time."""
    text = script.encode()
    data = struct.pack(">II", len(text), 0) + text

    def header(checksum: int) -> bytes:
        kind = (_LINUX, _ARM64, _SCRIPT, _PLAIN)
        return _HEADER.pack(_MAGIC, checksum, 0, len(data), 0, 0, crc32(data), *kind, b"gitboot")

    return header(crc32(header(0))) + data
