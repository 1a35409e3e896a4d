"""Keeps Debian packages on the head, so that the internet sends each of them once."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

PORT = 3142
SETTINGS_FILE = "/etc/wulfling-package-cache/acng.conf"
START_FILE = "/usr/local/sbin/wulfling-package-cache"
DROP_IN = "/etc/systemd/system/apt-cacher-ng.service.d/wulfling.conf"
ASK_FILE = "/usr/local/sbin/wulfling-apt-proxy"
APT_FILE = "/etc/apt/apt.conf.d/30wulfling-package-cache"

# Not Debian's own settings, which fetch from a mirror that the package found in sources.list or
# made up, whatever mirror the boards ask for.
SETTINGS_TEXT = """CacheDir: /var/cache/apt-cacher-ng
LogDir: /var/log/apt-cacher-ng
SupportDir: /usr/lib/apt-cacher-ng
BindAddress: {address}
Port: {port}
ReportPage: acng-report.html
ExThreshold: 4
"""

# apt-cacher-ng does not know that the head's own apt may need a proxy to get out.
START_TEXT = f"""#!/bin/sh
# Start apt-cacher-ng; it fetches by the way that apt on this board goes (apt.conf(5)).
eval "$(apt-config shell proxy Acquire::http::Proxy)"
case ${{proxy:-}} in http*) set -- "Proxy=$proxy" ;; esac
exec /usr/sbin/apt-cacher-ng -c {SETTINGS_FILE.rpartition("/")[0]} ForeGround=1 "$@"
"""

# An open port is not enough: a cache that hangs has one, and so has one without the internet.
# Silence leaves apt what it has otherwise, which may be another proxy.
ASK_TEXT = """#!/bin/bash
# Acquire::http::Proxy-Auto-Detect of apt.conf(5): the head's package cache, if it can get $1.
export cache={address}:{port} wanted=${{1:-/}}
timeout 5 bash -c '
    exec 3<>"/dev/tcp/${{cache/://}}" || exit
    printf "HEAD %s HTTP/1.0\\r\\n\\r\\n" "$wanted" >&3
    read -r word status rest <&3
    [[ $word == HTTP/* && $status != 5* ]] && echo "http://$cache"
' 2>/dev/null
exit 0
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """apt-cacher-ng on the head; on every board an apt that asks for it first."""
    if not cluster.gateway.packages:
        return
    address = f"{cluster.address(cluster.head)}"
    if node.name == cluster.head:
        yield from _cache(address)
    yield File(
        path=ASK_FILE,
        content=ASK_TEXT.format(address=address, port=PORT),
        mode=0o755,
        why="names the cache while it delivers, so that a dead head never stops apt",
    )
    yield File(
        path=APT_FILE,
        content=f'Acquire::http::Proxy-Auto-Detect "{ASK_FILE}";\n',
        why="apt.conf(5): packages come through the head's cache, or else the way they came before",
    )


def _cache(address: str) -> Iterator[Resource]:
    yield Packages(
        names=("apt-cacher-ng", "cron"),
        why="keeps what one board has fetched; each day cron deletes what no list names any more",
    )
    settings = File(
        path=SETTINGS_FILE,
        content=SETTINGS_TEXT.format(address=address, port=PORT),
        why="for the cluster's network and no other",
    )
    start = File(
        path=START_FILE,
        content=START_TEXT,
        mode=0o755,
        why="the cache goes out by the proxy that apt on the head has, if it has one",
    )
    drop_in = File(
        path=DROP_IN,
        content=(
            "[Unit]\nAfter=network-online.target\nWants=network-online.target\n"
            "StartLimitIntervalSec=0\n\n"
            f"[Service]\nExecStart=\nExecStart={START_FILE}\nRestart=always\nRestartSec=2\n"
        ),
        why="the address has to be there first; and a cache that ends is started again",
    )
    yield from (Directory(path=SETTINGS_FILE.rpartition("/")[0]), settings, start)
    yield from (Directory(path=DROP_IN.rpartition("/")[0]), drop_in)
    yield Service(
        unit="apt-cacher-ng.service",
        configured=digest(settings.content, start.content, drop_in.content),
        watches=(settings.key, start.key, drop_in.key),
        ready=("bash", "-c", f"exec 3<>/dev/tcp/{address}/{PORT}"),
        why="the cache itself",
    )
