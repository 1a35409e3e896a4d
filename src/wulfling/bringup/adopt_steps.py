"""What has to be done to a stranger, decided from what it told: each step a script for sh(1).

A board may have no Python yet, so the steps are plain commands of every Debian. Each one may
be cut off anywhere and is then taken again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from wulfling.bringup.adopt_facts import HOST_KEY, HOSTNAME, MACHINE_ID, Facts, lines_of
from wulfling.errors import NodeFailed
from wulfling.model.resource import Resource
from wulfling.node.program import LOCK
from wulfling.node.resources.account import Group, User
from wulfling.node.resources.packages import LOCK_PATIENCE, LOCKS
from wulfling.transport.host_keys import NEW_HOST_KEYS

CLOCK_TOLERANCE = 60  # seconds
KEYS_ONLY_FILE = "/etc/ssh/sshd_config.d/00-wulfling-keys-only.conf"


@dataclass(frozen=True)
class Wish:
    """What a board is to become. ``account`` is the admin's, ``shared`` what it has to
    get anew, ``passwords`` are new ones by account, ``now`` is our clock."""

    node: str
    account: tuple[Resource, ...]
    now: int
    shared: frozenset[str] = frozenset()
    passwords: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Change:
    """One step: its name, and the script that takes it. A script may hold a password."""

    key: str
    script: str = field(repr=False)


def changes(wish: Wish, facts: Facts) -> tuple[Change, ...]:
    """The steps in the order to take them; none for a board that is as it should be.

    Raises ``NodeFailed`` when the admin account's name or number belongs to another.
    """
    return tuple(_changes(wish, facts))


def _changes(wish: Wish, facts: Facts) -> Iterator[Change]:
    if abs(facts.seconds - wish.now) > CLOCK_TOLERANCE:
        yield Change("clock", CLOCK.format(now=wish.now))
    # Without sudo, root let us in, and without Python there is no apply.
    missing = [name for name in ("python3", "sudo") if name not in facts.has]
    if missing:
        yield Change(f"packages {' '.join(missing)}", _installing(missing))
    account = _account(wish, facts)
    if account:
        yield Change("admin account", "\n".join(account))
    for name, password in wish.passwords:
        line = shlex.quote(f"{name}:{password}")
        yield Change(f"password of {name}", f"printf '%s\\n' {line} | chpasswd")
    if HOSTNAME in wish.shared and facts.hostname != wish.node:
        yield Change(HOSTNAME, RENAME.format(old=shlex.quote(facts.hostname), new=wish.node))
    if MACHINE_ID in wish.shared:
        yield Change(MACHINE_ID, NEW_MACHINE_ID)
    if HOST_KEY in wish.shared:
        # Last: the next word after it needs the new key.
        yield Change(HOST_KEY, NEW_HOST_KEYS.format(node=wish.node))


def _account(wish: Wish, facts: Facts) -> list[str]:
    """The commands that `explain` shows, of what the board does not have yet."""
    commands: list[str] = []
    for resource in wish.account:
        if set(lines_of(resource)) <= facts.there:
            continue
        if isinstance(resource, Group):
            _refuse_another(resource.group, resource.gid, facts)
        elif isinstance(resource, User):
            _refuse_another(resource.user, resource.uid, facts)
            if any(line.startswith(f"{resource.user}:{resource.uid}:") for line in facts.there):
                where = f"--gid {resource.gid} --home {resource.home} --shell {resource.shell}"
                commands.append(f"usermod {where} {resource.user}")
                continue
        commands += [command.removeprefix("sudo ") for command in resource.commands()]
    return commands


def _refuse_another(wanted: str, number: int, facts: Facts) -> None:
    for line in sorted(facts.there):
        name, _, rest = line.partition(":")
        taken = rest.partition(":")[0]
        if taken and (name == wanted) != (taken == str(number)):
            raise NodeFailed(
                f"{name} has the number {taken} on this board, and {wanted} is to have {number}",
                hint=f"on the board: getent passwd {name}; getent group {name}; and if nothing"
                f" needs it: sudo userdel {name} or sudo groupdel {name}",
            )


CLOCK = """\
date -u -s @{now} >/dev/null || fail "its clock cannot be set"
[ ! -e /dev/rtc ] || ! command -v hwclock >/dev/null || hwclock -w || :
"""

_WAIT_FOR_APT = """\
holder() {
    for file in @LOCKS@; do
        place=$(stat -c '%Hd %Ld %i' "$file" 2>/dev/null) || continue
        place=$(printf '%02x:%02x:%s' $place)
        while read -r _ kind _ _ pid locked _; do
            [ "$kind $locked" = "POSIX $place" ] || continue
            name=$(cat "/proc/$pid/comm" 2>/dev/null || echo 'a process')
            echo "$name (process $pid)"
            return
        done </proc/locks
    done
}
waited=0
while who=$(holder) && [ -n "$who" ]; do
    if [ $waited -ge @PATIENCE@ ]; then
        tell hint "on the board: ps -fC ${who%% *}, and run it again when that has ended"
        tell locked "$who is changing packages since @PATIENCE@ s"
        exit 1
    fi
    tell waiting "$who, which is changing packages"
    sleep 2
    waited=$((waited + 2))
done
"""

_INSTALL = """\
dpkg --force-confold --configure -a 9>&- || :
apt-get -qq update 9>&- || :
apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=@PATIENCE@ install @NAMES@ 9>&- || {
    tell hint "can it reach a package mirror? on the board: sudo apt-get update"
    fail "@NAMES@ cannot be installed"
}
"""


def _installing(names: list[str]) -> str:
    """Waits for another apt, and says for whom. The lock of this session is closed for apt:
    a run that is killed leaves it working, and the next one waits for it by name."""
    script = (_WAIT_FOR_APT + _INSTALL).replace("@LOCKS@", " ".join(LOCKS))
    return script.replace("@PATIENCE@", str(LOCK_PATIENCE)).replace("@NAMES@", " ".join(names))


RENAME = """\
old={old} new={new}
echo "$new" >/etc/.hostname.wulfling-new
mv /etc/.hostname.wulfling-new /etc/hostname
hostname "$new"
# Or every sudo asks the DNS for a name that it does not have.
sed -i "s/^127\\.0\\.1\\.1[[:space:]].*/127.0.1.1\\t$new/" /etc/hosts
"""

NEW_MACHINE_ID = """\
tr -d - </proc/sys/kernel/random/uuid >/etc/.machine-id.wulfling-new
chmod 0444 /etc/.machine-id.wulfling-new
mv /etc/.machine-id.wulfling-new /etc/machine-id
[ -L /var/lib/dbus/machine-id ] || [ ! -e /var/lib/dbus/machine-id ] ||
    ln -sf /etc/machine-id /var/lib/dbus/machine-id
"""

TAKE_LOCK = """\
flock -w 5 9 || {
    tell locked "$(cat @LOCK@)"
    exit 1
}
printf '%s' @HOLDER@ >@LOCK@
""".replace("@LOCK@", LOCK)

CLOSE_PASSWORDS = f"""\
file={KEYS_ONLY_FILE}
new=/etc/ssh/sshd_config.d/.wulfling-new
mkdir -p /etc/ssh/sshd_config.d
cat >"$new" <<'EOF'
# Written by wulfling adopt when a key had opened this board. To take passwords again:
# remove this file, then: systemctl reload ssh
PasswordAuthentication no
KbdInteractiveAuthentication no
EOF
chmod 0644 "$new"
mv "$new" "$file"
/usr/sbin/sshd -t || {{ rm -f "$file"; fail "sshd does not take $file"; }}
systemctl try-restart ssh.service
"""

OPEN_PASSWORDS = f"""\
rm -f {KEYS_ONLY_FILE}
systemctl try-restart ssh.service
"""
