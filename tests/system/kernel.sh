#!/bin/bash
# Builds the rig's kernel: Debian's linux-source-6.12 as User Mode Linux, with gpio-sim and v4l2loopback.
#
#     tests/system/kernel.sh FOLDER      leaves FOLDER/linux.uml.xz and FOLDER/uml-modules-VERSION.tar.xz
#
# Needs root, mmdebstrap and about 17 minutes of a processor; JOBS=1 takes one only. It builds inside a Debian of its
# own, so nothing else has to be installed here; the sources come from where apt on this machine says. That Debian is
# of this machine's release: a kernel linked to a newer C library than the one here would not start. Exit status 3:
# it cannot be had.
set -euo pipefail
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
cd "$folder"
if ls linux.uml.xz uml-modules-*.tar.xz > /dev/null 2>&1; then
    echo "it is there already: $folder"
    exit 0
fi
for program in mmdebstrap xz; do
    command -v $program > /dev/null || { echo "$program is missing: apt install mmdebstrap xz-utils" >&2; exit 2; }
done
release=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME" || echo trixie)
rm -rf build sources
trap 'rm -rf build sources' EXIT
mmdebstrap --quiet --variant=minbase "$release" build \
    --include=build-essential,flex,bison,bc,libelf-dev,libssl-dev,kmod,xz-utils,bzip2,python3 || exit 3
mmdebstrap --quiet --variant=extract trixie sources --include=linux-source-6.12,v4l2loopback-source || exit 3
cp sources/usr/src/linux-source-6.12.tar.xz sources/usr/src/v4l2loopback.tar.* build/usr/src/
rm -rf sources
cp "$here/kernel.config" "$here/gpio_sim_persist.py" build/usr/src/
cat > build/usr/src/make.sh <<'EOF'
set -e
cd /usr/src
tar -xf linux-source-6.12.tar.xz
tree=/usr/src/linux-source-6.12
# Processors with AMX have a larger register file than the kernel asks of its host.
sed -i 's/HOST_FP_SIZE, 2696/HOST_FP_SIZE, 11264/' $tree/arch/x86/um/user-offsets.c
python3 gpio_sim_persist.py $tree/drivers/gpio/gpio-sim.c
make -s -C $tree ARCH=um defconfig
cd $tree
scripts/kconfig/merge_config.sh -m .config /usr/src/kernel.config > /dev/null
make -s ARCH=um olddefconfig
make -s ARCH=um -j"${JOBS:-$(nproc)}"
tar -xf /usr/src/v4l2loopback.tar.* -C /usr/src
loopback=$(dirname "$(find /usr/src -name v4l2loopback.c | head -1)")
make -s ARCH=um M="$loopback" modules
make -s ARCH=um INSTALL_MOD_PATH=/usr/src/out/usr modules_install
make -s ARCH=um M="$loopback" INSTALL_MOD_PATH=/usr/src/out/usr modules_install
depmod -b /usr/src/out/usr "$(make -s ARCH=um kernelrelease)"
strip -o /usr/src/linux.uml linux
make -s ARCH=um kernelversion > /usr/src/version
EOF
# In a mount namespace of its own: nothing is left mounted here, whatever happens.
unshare --mount bash -c 'mount --bind /proc build/proc && exec chroot build bash /usr/src/make.sh'
! ldd build/usr/src/linux.uml 2>&1 | grep 'not found' || exit 1
tar -C build/usr/src/out -cJf "uml-modules-$(cat build/usr/src/version).tar.xz" usr
xz -c build/usr/src/linux.uml > linux.uml.xz
ls -l linux.uml.xz uml-modules-*
