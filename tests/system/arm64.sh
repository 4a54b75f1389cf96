#!/bin/bash
# `make rig-arm64`: the released int8 encoder gives the same bytes on an emulated 64-bit ARM as on this processor.
#
#     tests/system/arm64.sh PYTHON OUT
#
# An arm64 Debian's Python, unpacked and never booted, runs under qemu-user-static as a Cortex-A72 (Raspberry Pi 4);
# the runtime is the same version of ai-edge-litert. Needs mmdebstrap, qemu-user-static and a Debian mirror.
set -euo pipefail
python=$(realpath -s "$1") out=$2
here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$(dirname "$here")")
for program in mmdebstrap qemu-aarch64-static; do
    command -v $program > /dev/null || { echo "$program is missing: apt install mmdebstrap qemu-user-static" >&2; exit 2; }
done
mkdir -p "$out"
out=$(realpath "$out")
if [ ! -e "$out/root/usr/bin/python3.11" ]; then
    rm -rf "$out/root"
    mmdebstrap --quiet --variant=extract --architectures=arm64 bookworm "$out/root" \
        --include=python3.11-minimal,libpython3.11-stdlib,libstdc++6,libgcc-s1,zlib1g,libexpat1,libffi8,libbz2-1.0,liblzma5,libuuid1
    mkdir -p "$out/root/proc" # qemu 7.2 shows this machine's own processor there, and the runtime believes it
    printf 'processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n' \
        > "$out/root/proc/cpuinfo"
fi
if [ ! -d "$out/lib" ]; then
    grep -v '^systemd-python' "$repository/constraints.txt" > "$out/constraints.txt"
    platforms=(--platform any)
    for glibc in 28 27 24 17; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
    "$python" -m pip install --quiet --target "$out/lib.new" --only-binary=:all: --no-compile --python-version 3.11 \
        --implementation cp --abi cp311 --abi abi3 --abi none "${platforms[@]}" --platform manylinux2014_aarch64 \
        --constraint "$out/constraints.txt" ai-edge-litert numpy
    mv "$out/lib.new" "$out/lib"
fi
model=$(ls "$repository"/daemon/janusd/models/*.tflite)
here_says=$("$python" "$here/same_bytes.py" "$model")
arm_says=$(PYTHONHOME=$out/root/usr PYTHONPATH=$out/lib \
    qemu-aarch64-static -cpu cortex-a72 -L "$out/root" "$out/root/usr/bin/python3.11" "$here/same_bytes.py" "$model")
printf '%s\n%s\n' "$here_says" "$arm_says"
[ "${here_says#* }" = "${arm_says#* }" ] || { echo "NOT the same bytes" >&2; exit 1; }
echo "the same bytes on both"
