#!/bin/bash
# `make rig-short`: the parts of the rig that prove most in least time, with a kernel that is built first where none is.
#
#     tests/system/short.sh PYTHON OUT      OUT/rig keeps the kernel and the drawings
#
# A machine that User Mode Linux cannot run on is no failure: it is said in one line, and the exit status is 0. What
# the host must have: x86-64, root, namespaces, /dev/net/tun, Debian's mirrors (mmdebstrap), 8 GB of disk; no KVM, no
# loop device, no module of its own. A kernel that cannot be compiled, and a scenario that fails, are failures.
set -euo pipefail
python=$(realpath -s "$1") out=$(realpath -m "$2")
here=$(cd "$(dirname "$0")" && pwd)
cd "$(dirname "$(dirname "$here")")"
SCENARIOS="setup right-face wrong-face sigkill-janusd sigkill-latchd power-cut"
# With the lines of a Raspberry Pi too, which keep a dead owner's level: those of them that scenarios.PERSISTS names.

skipped() { echo "THE RIG IS SKIPPED: $*"; exit 0; }

[ "$(uname -m)" = x86_64 ] || skipped "User Mode Linux runs on x86-64, this is $(uname -m)"
[ "$(id -u)" = 0 ] || skipped "it needs root, for a network namespace"
for program in mmdebstrap mke2fs xz ip ssh ssh-keygen unshare; do
    command -v $program > /dev/null ||
        skipped "$program is missing: apt install mmdebstrap e2fsprogs xz-utils iproute2 openssh-client util-linux"
done
try=janus-try-$$
trap 'ip netns delete $try 2> /dev/null || true; rm -rf "$out/rig/try"' EXIT
ip netns add $try && ip -n $try tuntap add tap0 mode tap || skipped "no network namespace with a tap device can be made"
ip netns delete $try

kernel=${JANUS_RIG:-$out/rig/kernel}/linux.uml.xz
if [ ! -e "$kernel" ]; then
    unset JANUS_RIG
    kernel=$out/rig/kernel/linux.uml.xz said=0
    bash "$here/kernel.sh" "$out/rig/kernel" || said=$?
    [ $said != 3 ] || skipped "Debian's packages cannot be had, or be unpacked, here"
    [ $said = 0 ] || exit $said
fi
# Its first process says that it runs.
mkdir -p "$out/rig/try"
xz -dc "$kernel" > "$out/rig/try/linux"
printf '#!/bin/sh\necho the first process runs\nmount -t proc proc /proc\necho o > /proc/sysrq-trigger\nsleep 30\n' \
    > "$out/rig/try/init"
chmod 755 "$out/rig/try/"*
timeout --kill-after=5 60 "$out/rig/try/linux" root=/dev/root rootfstype=hostfs rootflags=/ ro quiet con=null \
    con0=fd:0,fd:1 console=tty0 mem=128M umid=$try uml_dir="$out/rig/try/" init="$out/rig/try/init" \
    < /dev/null > "$out/rig/try/said" 2>&1 || true
grep -q 'the first process runs' "$out/rig/try/said" ||
    skipped "a User Mode Linux does not start on this machine: $(tail -n 1 "$out/rig/try/said")"

"$python" -m pytest -q -rPs tests/latchd/test_kernel.py tests/hw/test_camera_kernel.py
make --no-print-directory rig PART="$SCENARIOS"
