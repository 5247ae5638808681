"""What the netboot servers are told at start: one frozen value, made by the command's entry points.

Shell: it names ports and folders, which no core may know.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    state: Path
    """The state directory; one server at a time holds its lock."""
    artifacts: Path | None = None
    loaders: Path | None = None
    """A folder of network boot programs that beat the host's."""
    listen: str = "0.0.0.0"  # noqa: S104 - machines must reach it; --listen narrows it
    """The address all servers bind."""
    interface: str | None = None
    """The only interface DHCP and TFTP are heard on; None: every one."""
    dhcp_port: int = 67
    """0 takes a free one, as for the others; -1 leaves that server out."""
    proxy_port: int = 4011
    """Where ProxyDHCP is asked again; open only while the site's DHCP mode is a proxy one."""
    tftp_port: int = 69
    tftp_single_port: bool = False
    """TFTP answers from the port that was asked, for a NAT in between."""
    router_advertisement: bool = False
    """Answer IPv6 router solicitations, so that iPXE does not wait for a router that is not there."""
    dns_port: int = -1
    syslog_port: int = -1
    """Where machines may log to."""
    traces: str = ""
    """Where a trace of each boot goes, by OTLP; "": nowhere."""
    http_port: int = 80
    open_status: bool = False
    """Whoever reaches HTTP may read status, logs and metrics."""
    webhook_secret_file: Path | None = None
    """What a git forge proves itself by; None: nobody can say that somebody pushed."""
    notify: Path | None = None
    """Who is told of issues and ends of runs, as `notice_targets` reads it; None: nobody."""
    https_port: int = 443
    """For agents and people; without it agents speak in clear."""
    certificate: Path | None = None
    private_key: Path | None = None
    """What people are shown, instead of what gitboot makes; both or none."""
    reply_to_source: bool = False
    """DHCP replies go back to the port they came from: for simulated clients on unprivileged ports."""
    trusted_proxies: tuple[str, ...] = ()
    """CIDRs of those whose X-Forwarded-For counts, beside those that the site names."""
    new_site: bool = False
    """Declare the state directory to be a new site, whose runs may start."""
    age_identity: tuple[Path, ...] = ()
    """Files with the keys that open the secrets in git."""
    user: str = ""
    """Whose process this is once every port is bound; "": whoever started it."""
