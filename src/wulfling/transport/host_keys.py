"""Scripts that give a board new SSH host keys; what they ``tell`` is for whoever pins them."""

from __future__ import annotations

# Made beside, and told before they are used, so that the new one is pinned by then. A run that
# was killed between the two has left it there for the next.
NEW_HOST_KEYS = """\
umask 077
new=/etc/ssh/.wulfling-new
mkdir -p "$new"
for kind in ed25519 ecdsa rsa; do
    [ -e "/etc/ssh/ssh_host_${{kind}}_key" ] || [ $kind = ed25519 ] || continue
    key="$new/ssh_host_${{kind}}_key"
    [ -e "$key.pub" ] || {{ rm -f "$key"; ssh-keygen -q -t $kind -N '' -C root@{node} -f "$key"; }}
    chmod 0644 "$key.pub"
done
sync
tell new_host_key "$(cut -d' ' -f1,2 "$new/ssh_host_ed25519_key.pub")"
"""

# ed25519 last, and its public half last of all: by it we know a copied card. What was moved
# before a cut is not there to be moved again.
USE_HOST_KEYS = """\
new=/etc/ssh/.wulfling-new
for kind in rsa ecdsa ed25519; do
    for key in "ssh_host_${kind}_key" "ssh_host_${kind}_key.pub"; do
        [ ! -e "$new/$key" ] || mv "$new/$key" "/etc/ssh/$key"
    done
done
rmdir "$new"
sync
systemctl try-restart ssh.service
"""
