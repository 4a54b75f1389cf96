#!/bin/bash
# Makes the guest's disk: Debian trixie, the kernel's modules, sshd, and the hardware that is simulated.
#
#     tests/system/root.sh FOLDER MODULES.tar.xz     leaves FOLDER/root.img and the SSH key FOLDER/id
#
# Needs root, mmdebstrap and mke2fs. Where the packages come from is what apt on this machine says. It takes a
# minute or two, once: FOLDER is kept.
set -euo pipefail
folder=$1 modules=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
cd "$folder"
[ -f root.tar ] || {
    mmdebstrap --quiet --format=tar --variant=minbase trixie root.tar.new --include="$(tr -s ' \n' ',' <<EOF
systemd systemd-sysv dbus udev openssh-server iproute2 kmod procps acl gpiod python3 python3-systemd libpam-systemd
EOF
)"
    mv root.tar.new root.tar
}
[ -f id ] || ssh-keygen -q -t ed25519 -N '' -f id
rm -rf root && mkdir root
trap 'rm -rf root' EXIT
tar -xf root.tar -C root --exclude='./dev/*'
tar -xJf "$modules" -C root
install -D -m 600 id.pub root/root/.ssh/authorized_keys
chmod 700 root/root/.ssh
rm -f root/etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -f root/etc/ssh/ssh_host_ed25519_key
echo rig > root/etc/hostname
echo '127.0.0.1 localhost rig' > root/etc/hosts
echo '/dev/root / ext4 rw,relatime 0 1' > root/etc/fstab
printf '%032x\n' 1 > root/etc/machine-id
printf 'UseDNS no\nPermitRootLogin prohibit-password\n' > root/etc/ssh/sshd_config.d/rig.conf
printf '[Match]\nName=vec* e*\n[Network]\nAddress=10.77.0.2/24\n' > root/etc/systemd/network/10-rig.network
mkdir -p root/var/log/journal root/rig
cp -r "$here"/guest/* root/rig/
install -m 644 "$here"/guest/rig-*.service root/etc/systemd/system/
systemctl --root=root enable --quiet systemd-networkd ssh rig-hardware
systemctl --root=root mask --quiet systemd-networkd-wait-online systemd-firstboot getty@tty1 fstrim.timer \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap
rm -f root.img.new
truncate -s 3G root.img.new
mke2fs -q -F -t ext4 -d root root.img.new
mv root.img.new root.img
