"""The DHCP options this program knows by name: code, name, kind of value.

Core, data only. The law: a row says what the registry says (IANA "BOOTP Vendor Extensions and DHCP Options"), in the names
that ISC dhcpd and Kea use, so that an operator's existing configuration reads the same here. An option without a row can
still be sent by number, as a hex string.
"""

from __future__ import annotations

from collections.abc import Mapping

Kind = str
"""A key of the kinds in `netboot.dhcp_options`: ip, ips, pairs, text, u8, u16, u32, i32, bool, flag, domains, …"""

OWNED: Mapping[int, str] = {
    0: "it is padding",
    50: "it is what a client asks for",
    52: "the server decides how a packet is filled",
    53: "the server says what kind of message it sends",
    54: "the server names itself",
    55: "it is what a client asks for",
    56: "the server gives the reason of its refusals itself",
    57: "it is what a client can receive",
    61: "the server echoes what the client sent (RFC 6842)",
    77: "it is what a client says of itself",
    80: "rapid commit would skip the exchange that makes a lease safe",
    82: "the server echoes what the relay sent (RFC 3046)",
    90: "the server does not sign its messages",
    93: "it is what a client says of itself",
    94: "it is what a client says of itself",
    97: "the server echoes what the client sent (RFC 4578)",
    118: "it is what a relay or a client asks for (RFC 3011)",
    255: "it is the end of the options",
}
"""Options that only the server (or the client) may fill, and why: refused where a person writes options."""

TABLE: Mapping[int, tuple[str, Kind]] = {
    1: ("subnet-mask", "ip"),
    2: ("time-offset", "i32"),
    3: ("routers", "ips"),
    4: ("time-servers", "ips"),
    5: ("name-servers", "ips"),
    6: ("domain-name-servers", "ips"),
    7: ("log-servers", "ips"),
    8: ("cookie-servers", "ips"),
    9: ("lpr-servers", "ips"),
    10: ("impress-servers", "ips"),
    11: ("resource-location-servers", "ips"),
    12: ("host-name", "text"),
    13: ("boot-size", "u16"),
    14: ("merit-dump", "text"),
    15: ("domain-name", "text"),
    16: ("swap-server", "ip"),
    17: ("root-path", "text"),
    18: ("extensions-path", "text"),
    19: ("ip-forwarding", "bool"),
    20: ("non-local-source-routing", "bool"),
    21: ("policy-filter", "pairs"),
    22: ("max-dgram-reassembly", "u16"),
    23: ("default-ip-ttl", "u8"),
    24: ("path-mtu-aging-timeout", "u32"),
    25: ("path-mtu-plateau-table", "hex"),
    26: ("interface-mtu", "u16"),
    27: ("all-subnets-local", "bool"),
    28: ("broadcast-address", "ip"),
    29: ("perform-mask-discovery", "bool"),
    30: ("mask-supplier", "bool"),
    31: ("router-discovery", "bool"),
    32: ("router-solicitation-address", "ip"),
    33: ("static-routes", "pairs"),
    34: ("trailer-encapsulation", "bool"),
    35: ("arp-cache-timeout", "u32"),
    36: ("ieee802-3-encapsulation", "bool"),
    37: ("default-tcp-ttl", "u8"),
    38: ("tcp-keepalive-interval", "u32"),
    39: ("tcp-keepalive-garbage", "bool"),
    40: ("nis-domain", "text"),
    41: ("nis-servers", "ips"),
    42: ("ntp-servers", "ips"),
    43: ("vendor-encapsulated-options", "hex"),
    44: ("netbios-name-servers", "ips"),
    45: ("netbios-dd-server", "ips"),
    46: ("netbios-node-type", "u8"),
    47: ("netbios-scope", "text"),
    48: ("font-servers", "ips"),
    49: ("x-display-manager", "ips"),
    50: ("dhcp-requested-address", "ip"),
    51: ("dhcp-lease-time", "u32"),
    52: ("dhcp-option-overload", "u8"),
    53: ("dhcp-message-type", "u8"),
    54: ("dhcp-server-identifier", "ip"),
    55: ("dhcp-parameter-request-list", "hex"),
    56: ("dhcp-message", "text"),
    57: ("dhcp-max-message-size", "u16"),
    58: ("dhcp-renewal-time", "u32"),
    59: ("dhcp-rebinding-time", "u32"),
    60: ("vendor-class-identifier", "text"),
    61: ("dhcp-client-identifier", "hex"),
    64: ("nisplus-domain", "text"),
    65: ("nisplus-servers", "ips"),
    66: ("tftp-server-name", "text"),
    67: ("boot-file-name", "text"),
    68: ("mobile-ip-home-agent", "ips"),
    69: ("smtp-server", "ips"),
    70: ("pop-server", "ips"),
    71: ("nntp-server", "ips"),
    72: ("www-server", "ips"),
    73: ("finger-server", "ips"),
    74: ("irc-server", "ips"),
    75: ("streettalk-server", "ips"),
    76: ("streettalk-directory-assistance-server", "ips"),
    77: ("user-class", "hex"),
    80: ("rapid-commit", "flag"),
    82: ("dhcp-agent-options", "hex"),
    90: ("authentication", "hex"),
    93: ("client-system", "u16"),  # RFC 4578
    94: ("client-ndi", "hex"),
    97: ("uuid-guid", "hex"),
    100: ("pcode", "text"),  # RFC 4833: POSIX time zone
    101: ("tcode", "text"),  # RFC 4833: name in the zone database
    108: ("v6-only-preferred", "u32"),  # RFC 8925, seconds
    114: ("v4-captive-portal", "text"),  # RFC 8910
    116: ("auto-config", "u8"),  # RFC 2563
    118: ("subnet-selection", "ip"),  # RFC 3011
    119: ("domain-search", "domains"),  # RFC 3397
    121: ("classless-static-route", "routes"),  # RFC 3442
    125: ("vivso-suboptions", "hex"),  # RFC 3925
    138: ("capwap-ac-v4", "ips"),  # RFC 5417
    146: ("rdnss-selection", "hex"),  # RFC 6731
    150: ("tftp-server-address", "ips"),  # RFC 5859
    175: ("ipxe-encap-opts", "hex"),  # ipxe.org/howto/dhcpd
    176: ("ip-telephone", "text"),
    208: ("pxelinux-magic", "hex"),  # RFC 5071
    209: ("pxelinux-config-file", "text"),
    210: ("pxelinux-path-prefix", "text"),
    211: ("pxelinux-reboot-time", "u32"),
    249: ("ms-classless-static-route", "routes"),  # Microsoft's own number for 121
    252: ("wpad-url", "text"),
}

EXTRA_NAMES: Mapping[str, int] = {
    "bootfile-name": 67,
    "captive-portal": 114,
    "classless-static-routes": 121,
    "lease-time": 51,
    "loader-configfile": 209,
    "loader-pathprefix": 210,
    "loader-reboottime": 211,
    "rebinding-time": 59,
    "renewal-time": 58,
    "rfc3442-classless-static-routes": 121,
}
"""Other spellings in use: dhclient's, pxelinux's, and the short ones."""
