#!/bin/sh
# rpnode02 of raspi-hpc, by wulfling card write; deletes itself
exec >>/var/log/wulfling-card.log 2>&1
echo rpnode02 >/etc/hostname
sed -i '/^127\.0\.1\.1[[:space:]]/d' /etc/hosts
echo '127.0.1.1 rpnode02' >>/etc/hosts
rm -f /etc/ssh/ssh_host_*
install -m 600 /dev/null /etc/ssh/ssh_host_ed25519_key
cat >/etc/ssh/ssh_host_ed25519_key <<'EOF'
-----BEGIN OPENSSH PRIVATE KEY-----
bm90IGEga2V5
-----END OPENSSH PRIVATE KEY-----
EOF
install -m 644 /dev/null /etc/ssh/ssh_host_ed25519_key.pub
cat >/etc/ssh/ssh_host_ed25519_key.pub <<'EOF'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAHOSTHOSTHOSTHOSTHOSTHOST
EOF
systemctl disable regenerate_ssh_host_keys.service
groupadd --gid 970 wulfling
useradd --system --uid 970 --gid 970 --shell /bin/bash --home-dir /var/local/wulfling --no-create-home wulfling
install -d -m 00700 -o wulfling -g wulfling /var/local/wulfling
install -d -m 00700 -o wulfling -g wulfling /var/local/wulfling/.ssh
install -m 0600 -o wulfling -g wulfling /dev/null /var/local/wulfling/.ssh/authorized_keys
tee /var/local/wulfling/.ssh/authorized_keys > /dev/null <<'EOF'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim's
EOF
install -m 0440 -o root -g root /dev/null /etc/sudoers.d/wulfling
tee /etc/sudoers.d/wulfling > /dev/null <<'EOF'
wulfling ALL=(ALL:ALL) NOPASSWD: ALL
EOF
if [ -x /usr/bin/cancel-rename ]; then
    /usr/bin/cancel-rename wulfling
    systemctl --no-block stop userconfig.service
fi
install -m 644 /dev/null /etc/ssh/sshd_config.d/20-card.conf
cat >/etc/ssh/sshd_config.d/20-card.conf <<'EOF'
PasswordAuthentication no
EOF
systemctl enable ssh.service
sed -i 's| systemd\.[^ ]*||g' /boot/firmware/cmdline.txt
sync
rm -f /boot/firmware/firstrun.sh
sync
exit 0
