"""The final state of a board as one text: what two ways to get there have to agree on."""

from __future__ import annotations

# Files that wulfling manages with their hashes, packages, units, users and groups. Secrets
# differ between two clusters and are compared by owner and mode alone.
SCRIPT = r"""
python3 - <<'EOF'
import hashlib, json, os, stat, subprocess
keys = json.load(open("/var/lib/wulfling/manifest.json"))["keys"]
for key in keys:
    kind, _, name = key.partition(":")
    if kind in ("file", "block", "directory"):
        status = os.stat(name)
        told = f"{status.st_uid}:{status.st_gid} {stat.S_IMODE(status.st_mode):o}"
        if kind != "directory" and "munge" not in name:
            told += " " + hashlib.sha256(open(name, "rb").read()).hexdigest()
        print(key, told)
    else:
        print(key)
EOF
dpkg-query -W -f '${Package} ${Version} ${Status}\n'
systemctl list-unit-files --no-legend --no-pager | awk '{print $1, $2}' | sort
cat /etc/passwd /etc/group
systemctl is-active $(systemctl list-unit-files --no-legend --no-pager 'slurm*' 'munge*' \
    'chrony*' 'mariadb.service' 'nfs-server*' | awk '$2 == "enabled" {print $1}' | sort) || true
ls -a /var/lib/wulfling /usr/sbin/policy-rc.d 2>&1 | sort
"""
