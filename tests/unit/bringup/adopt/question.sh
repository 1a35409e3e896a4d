tell hostname "$(hostname)"
tell machine_id "$(cat /etc/machine-id 2>/dev/null || :)"
tell host_key "$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null || :)"
[ ! -x /usr/bin/python3 ] || tell has python3
! command -v sudo >/dev/null || tell has sudo
{ getent group wulfling 970 | cut -d: -f1,3 || :; } | while read -r line; do tell there "$line"; done
{ getent passwd wulfling 970 | cut -d: -f1,3,4,6,7 || :; } | while read -r line; do tell there "$line"; done
{ stat -c '%n %U %G %a' /var/local/wulfling 2>/dev/null || :; } | while read -r line; do tell there "$line"; done
{ stat -c '%n %U %G %a' /var/local/wulfling/.ssh 2>/dev/null || :; } | while read -r line; do tell there "$line"; done
{ { stat -c '%n %U %G %a' /var/local/wulfling/.ssh/authorized_keys; sha256sum /var/local/wulfling/.ssh/authorized_keys; } 2>/dev/null || :; } | while read -r line; do tell there "$line"; done
{ { stat -c '%n %U %G %a' /etc/sudoers.d/wulfling; sha256sum /etc/sudoers.d/wulfling; } 2>/dev/null || :; } | while read -r line; do tell there "$line"; done

if command -v perl >/dev/null; then
perl -e 'while (<STDIN>) { chomp; ($name, $word) = split /:/, $_, 2;
    $hash = (getpwnam $name)[1]; next if !$hash || length $hash < 13;
    $made = crypt $word, $hash; print "\@default $name\n" if $made && $made eq $hash }' <<'EOF'
alarm:alarm
armbian:1234
debian:temppwd
dietpi:dietpi
khadas:khadas
nvidia:nvidia
odroid:odroid
orangepi:orangepi
pi:pi
pi:raspberry
radxa:radxa
rock:rock
root:1234
root:dietpi
root:khadas
root:odroid
root:orangepi
root:root
root:toor
ubuntu:ubuntu
EOF
fi
tell seconds "$(date +%s)"
