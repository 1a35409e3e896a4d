## clock
date -u -s @1795520816 >/dev/null || fail "its clock cannot be set"
[ ! -e /dev/rtc ] || ! command -v hwclock >/dev/null || hwclock -w || :

## packages python3 sudo
holder() {
    for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
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
    if [ $waited -ge 600 ]; then
        tell hint "on the board: ps -fC ${who%% *}, and run it again when that has ended"
        tell locked "$who is changing packages since 600 s"
        exit 1
    fi
    tell waiting "$who, which is changing packages"
    sleep 2
    waited=$((waited + 2))
done
dpkg --force-confold --configure -a 9>&- || :
apt-get -qq update 9>&- || :
apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=600 install python3 sudo 9>&- || {
    tell hint "can it reach a package mirror? on the board: sudo apt-get update"
    fail "python3 sudo cannot be installed"
}

## admin account
groupadd --gid 970 wulfling
useradd --system --uid 970 --gid 970 --shell /bin/bash --home-dir /var/local/wulfling --no-create-home wulfling
install -d -m 00700 -o wulfling -g wulfling /var/local/wulfling
install -d -m 00700 -o wulfling -g wulfling /var/local/wulfling/.ssh
install -m 0600 -o wulfling -g wulfling /dev/null /var/local/wulfling/.ssh/authorized_keys
tee /var/local/wulfling/.ssh/authorized_keys > /dev/null <<'EOF'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim
EOF
install -m 0440 -o root -g root /dev/null /etc/sudoers.d/wulfling
tee /etc/sudoers.d/wulfling > /dev/null <<'EOF'
wulfling ALL=(ALL:ALL) NOPASSWD: ALL
EOF
## password of pi
printf '%s\n' 'pi:it'"'"'s new' | chpasswd
## hostname
old=raspberrypi new=two
echo "$new" >/etc/.hostname.wulfling-new
mv /etc/.hostname.wulfling-new /etc/hostname
hostname "$new"
# Or every sudo asks the DNS for a name that it does not have.
sed -i "s/^127\.0\.1\.1[[:space:]].*/127.0.1.1\t$new/" /etc/hosts

## machine-id
tr -d - </proc/sys/kernel/random/uuid >/etc/.machine-id.wulfling-new
chmod 0444 /etc/.machine-id.wulfling-new
mv /etc/.machine-id.wulfling-new /etc/machine-id
[ -L /var/lib/dbus/machine-id ] || [ ! -e /var/lib/dbus/machine-id ] ||
    ln -sf /etc/machine-id /var/lib/dbus/machine-id

## host key
umask 077
new=/etc/ssh/.wulfling-new
mkdir -p "$new"
for kind in ed25519 ecdsa rsa; do
    [ -e "/etc/ssh/ssh_host_${kind}_key" ] || [ $kind = ed25519 ] || continue
    key="$new/ssh_host_${kind}_key"
    [ -e "$key.pub" ] || { rm -f "$key"; ssh-keygen -q -t $kind -N '' -C root@two -f "$key"; }
    chmod 0644 "$key.pub"
done
sync
tell new_host_key "$(cut -d' ' -f1,2 "$new/ssh_host_ed25519_key.pub")"

