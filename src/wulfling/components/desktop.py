"""A desktop on the head for whoever comes by the tunnel (0-13 to 0-15): xrdp and Xfce.

It answers at the head's address in the tunnel and on loopback, by TLS with a key of its own, and
asks for a password that opens nothing else (``node.desktop``).
"""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.desktop import CERTIFICATE, PROGRAM
from wulfling.node.install import PROGRAMS, starter
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

PORT = 3389
UNIT = "xrdp.service"
SESMAN_UNIT = "xrdp-sesman.service"
# Ours stand beside the package's own, which an upgrade may replace.
XRDP_FILE = "/etc/xrdp/wulfling-xrdp.ini"
SESMAN_FILE = "/etc/xrdp/wulfling-sesman.ini"
SESSION = "/etc/xrdp/wulfling-session"
KEY_PROGRAM = "/etc/xrdp/wulfling-key"
KEY_FILE = "/etc/xrdp/wulfling-key.pem"
PAM_FILE = "/etc/pam.d/xrdp-sesman"

# Xorg draws into memory and is spoken to by a socket of its owner's, so that no session listens.
PACKAGES = (
    *("xrdp", "xorgxrdp", "openssl", "dbus-x11"),
    *("xfce4-session", "xfce4-panel", "xfce4-settings", "xfwm4", "xfdesktop4"),
    *("thunar", "xfce4-terminal", "adwaita-icon-theme", "fonts-dejavu-core"),
)

# One kind of session: the package's own file also offers to call any other machine's port. The
# laptop's disks stay the laptop's (rdpdr).
XRDP_TEXT = """; xrdp.ini(5), by wulfling
[Globals]
ini_version=1
fork=true
port={ports}
tcp_nodelay=true
tcp_keepalive=true
security_layer=tls
crypt_level=high
certificate={certificate}
key_file={key}
ssl_protocols=TLSv1.2, TLSv1.3
autorun=Xorg
allow_channels=true
allow_multimon=true
bitmap_cache=true
bitmap_compression=true
bulk_compression=true
max_bpp=32
new_cursors=true
use_fastpath=both
ls_top_window_bg_color=303030
ls_bg_color=dedede
ls_width=350
ls_height=250
ls_logo_filename=/usr/share/xrdp/no-logo
ls_label_x_pos=30
ls_label_width=65
ls_input_x_pos=110
ls_input_width=210
ls_input_y_pos=60
ls_btn_ok_x_pos=142
ls_btn_ok_y_pos=190
ls_btn_ok_width=85
ls_btn_ok_height=30
ls_btn_cancel_x_pos=237
ls_btn_cancel_y_pos=190
ls_btn_cancel_width=85
ls_btn_cancel_height=30

[Logging]
LogFile=xrdp.log
LogLevel=INFO
EnableSyslog=true

[Channels]
rdpdr=false
rdpsnd=true
drdynvc=true
cliprdr=true
rail=false
xrdpvr=false
tcutils=false

[Xorg]
name=Xorg
lib=libxup.so
username=ask
password=ask
ip=127.0.0.1
port=-1
code=20
"""

SESMAN_TEXT = """; sesman.ini(5), by wulfling
[Globals]
ListenAddress=127.0.0.1
ListenPort=3350
EnableUserWindowManager=false
UserWindowManager=startwm.sh
DefaultWindowManager={session}
ReconnectScript=reconnectwm.sh

[Security]
AllowRootLogin=false
MaxLoginRetry=3
AlwaysGroupCheck=false

[Sessions]
X11DisplayOffset=10
MaxSessions=10
KillDisconnected=false
DisconnectedTimeLimit=0
IdleTimeLimit=0
Policy=Default

[Logging]
LogFile=xrdp-sesman.log
LogLevel=INFO
EnableSyslog=true

[Xorg]
param=/usr/lib/xorg/Xorg
param=-config
param=xrdp/xorg.conf
param=-noreset
param=-nolisten
param=tcp
param=-logfile
param=.xorgxrdp.%s.log

[Chansrv]
EnableFuseMount=false
FileUmask=077

[SessionVariables]
"""

SESSION_TEXT = """#!/bin/sh
# A person's session (wulfling): what a login shell has, and Xfce.
. /etc/profile
[ ! -r ~/.profile ] || . ~/.profile
cd
exec dbus-run-session -- startxfce4
"""

# Not the key that Debian's ssl-cert makes for all programs of a board.
KEY_TEXT = f"""#!/bin/sh
# The key and the certificate of this board's desktop, once (wulfling).
set -eu
certificate={CERTIFICATE} key={KEY_FILE}
[ ! -s $certificate ] || [ ! -s $key ] || exit 0
umask 077
openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=$(hostname)" \\
    -keyout $key.new -out $certificate.new 2>/dev/null
chgrp xrdp $key.new
chmod 640 $key.new
chmod 644 $certificate.new
sync $key.new $certificate.new
mv $key.new $key
mv $certificate.new $certificate
sync /etc/xrdp
"""

# No common-auth: a password that opens the desktop is no account's, and the other way round.
PAM_TEXT = f"""#%PAM-1.0
# Who may have a desktop (wulfling): pam.d(5)
auth required pam_env.so
auth required pam_exec.so quiet expose_authtok {PROGRAM} --check
# Neither has credentials to set, and then nobody would agree to it: pam_setcred(3).
auth required pam_permit.so
@include common-account
@include common-session
password required pam_deny.so
"""

PROGRAM_TEXT = f"""#!/bin/sh
# desktop-password: makes a new password for your desktop on this board (wulfling)
{starter("wulfling.node.desktop")}\
echo "no program is in {PROGRAMS}: \\`wulfling apply\\` brings it" >&2
exit 1
"""

# Not by XRDP_OPTIONS: /etc/default/xrdp sets it to nothing, after all that a unit's file says.
# xrdp ends at once when an address is not there yet. What systemd can filter (BPF) stands here as
# well as in the firewall: a board on the cluster's network could send to the tunnel's address.
XRDP_DROP_IN = """[Unit]
After=wulfling-wireguard.service

[Service]
ExecStart=
ExecStart=/usr/sbin/xrdp --config {file}
ExecStartPre={key}
Restart=on-failure
RestartSec=5
IPAddressDeny=any
IPAddressAllow={allowed}
"""

SESMAN_DROP_IN = f"""[Service]
ExecStart=
ExecStart=/usr/sbin/xrdp-sesman --config {SESMAN_FILE}
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The desktop, where the file says `desktop: true`, on the head alone."""
    if not cluster.desktop or node.name != cluster.head:
        return
    yield Packages(names=PACKAGES, why="a small desktop, and what shows it elsewhere (RDP)")
    yield File(
        path=PROGRAM,
        content=PROGRAM_TEXT,
        mode=0o755,
        why="a person makes the password of the own desktop, by SSH; accounts have none",
    )
    yield File(
        path=PAM_FILE,
        content=PAM_TEXT,
        why="pam_exec(8): that password opens the desktop, and nothing else",
    )
    yield File(path=SESSION, content=SESSION_TEXT, mode=0o755, why="what a session starts")
    files = tuple(_files(cluster))
    yield from files
    yield Service(
        unit=UNIT,
        configured=digest(*(file.content for file in files if isinstance(file, File))),
        watches=tuple(file.key for file in files),
        why="the head as a workstation that is always on (0-15)",
    )
    yield Service(
        unit=SESMAN_UNIT,
        enabled=False,
        why="xrdp starts it; at boot it would start xrdp, also when nobody wants that any more",
    )


def _files(cluster: Cluster) -> Iterator[Resource]:
    """What the daemons read when they start."""
    way = cluster.wireguard
    addresses = ("127.0.0.1", *((str(way.head),) if way else ()))
    allowed = ("localhost", *((str(way.network),) if way else ()))
    yield File(
        path=XRDP_FILE,
        content=XRDP_TEXT.format(
            ports=" ".join(f"tcp://{address}:{PORT}" for address in addresses),
            certificate=CERTIFICATE,
            key=KEY_FILE,
        ),
        why="at the tunnel's address and on loopback, and at no other",
    )
    yield File(
        path=SESMAN_FILE,
        content=SESMAN_TEXT.format(session=SESSION),
        why="sessions of people, which go on while nobody looks",
    )
    yield File(path=KEY_PROGRAM, content=KEY_TEXT, mode=0o755, why="a key that this board makes")
    drop_ins = (
        ("xrdp", XRDP_DROP_IN.format(file=XRDP_FILE, key=KEY_PROGRAM, allowed=" ".join(allowed))),
        ("xrdp-sesman", SESMAN_DROP_IN),
    )
    for unit, text in drop_ins:
        yield Directory(path=f"/etc/systemd/system/{unit}.service.d")
        yield File(
            path=f"/etc/systemd/system/{unit}.service.d/wulfling.conf",
            content=text,
            why="it reads our file and not the package's",
        )
