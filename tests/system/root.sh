#!/bin/bash
# Makes the guest's disk: Debian trixie, the kernel's modules, sshd, and the hardware that is simulated.
#
#     tests/system/root.sh FOLDER MODULES.tar.xz PYTHON     leaves FOLDER/root.img and the SSH key FOLDER/id
#
# Needs root, mmdebstrap, mke2fs and a PYTHON with pip: picamera2 is in no Debian, and libcamera shows pictures from
# 0.7.1 on, which trixie-backports has. Where the packages come from is what apt and pip on this machine say. It
# takes a few minutes, once: FOLDER is kept.
set -euo pipefail
folder=$1 modules=$2 python=$3
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
cd "$folder"
packages=$(tr -s ' \n' ',' <<EOF
systemd systemd-sysv dbus udev openssh-server iproute2 kmod procps acl gpiod python3 python3-systemd libpam-systemd
mosquitto mosquitto-clients swtpm libtss2-esys-3.0.2-0t64 libtss2-rc0t64 python3-libcamera/trixie-backports
EOF
)
tar=root-$(sha256sum <<< "$packages" | head -c 16).tar
[ -f "$tar" ] || {
    rm -f root*.tar
    mmdebstrap --quiet --format=tar --variant=minbase --include="$packages" trixie "$tar.new" --setup-hook='
        echo deb http://deb.debian.org/debian trixie-backports main > "$1/etc/apt/sources.list.d/backports.list"'
    mv "$tar.new" "$tar"
}
picamera2=picamera2-0.3.38
[ -d $picamera2 ] || {
    rm -rf picamera2-*
    "$python" -m pip install --quiet --no-deps --no-compile --target $picamera2.new \
        picamera2==${picamera2#*-} videodev2==0.0.4
    mv $picamera2.new $picamera2
}
[ -f id ] || ssh-keygen -q -t ed25519 -N '' -f id
rm -rf root && mkdir root
trap 'rm -rf root' EXIT
tar -xf "$tar" -C root --exclude='./dev/*'
mkdir -p root/usr/lib/python3/dist-packages
cp -r $picamera2/* root/usr/lib/python3/dist-packages/
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
systemctl --root=root disable --quiet mosquitto
systemctl --root=root mask --quiet systemd-networkd-wait-online systemd-firstboot getty@tty1 fstrim.timer \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap
rm -f root.img.new
truncate -s 3G root.img.new
mke2fs -q -F -t ext4 -d root root.img.new
mv root.img.new root.img
