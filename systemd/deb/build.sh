#!/bin/bash
# Builds janusd's Debian package: our wheel, every wheel it needs, the units. It installs without a network.
#
#     systemd/deb/build.sh PYTHON OUT      as `make deb` does; PYTHON needs pip, OUT is a folder
#
# DEB_PYTHON   the Python of the Debian it is for: 3.13 (trixie, the default), 3.11 (bookworm)
# DEB_ARCH     amd64 or arm64; the default is this machine's
#
# Layout: /opt/janus/lib holds the packages, /opt/janus/bin the programs, which run under the system's own
# /usr/bin/python3, isolated from users' settings; so python3-picamera2 and python3-systemd of Debian are found too.
set -euo pipefail
python=$1 out=$2
for_python=${DEB_PYTHON:-3.13}
arch=${DEB_ARCH:-$(dpkg --print-architecture)}
case $arch in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *) echo "DEB_ARCH is $arch: there are wheels of ai-edge-litert for amd64 and arm64 only" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
units=$(dirname "$here") root=$(dirname "$(dirname "$here")")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
tree=$out/tree-$arch-$for_python
rm -rf "$tree" "$out/wheel"
mkdir -p "$tree/DEBIAN" "$tree/opt/janus/bin" "$out/wheel"

"$python" -m pip wheel --quiet --no-deps --wheel-dir "$out/wheel" "$root"
ours=("$out"/wheel/janusd-*.whl)
# The same pins as everywhere; systemd-python comes from Debian. Kept between builds while they stay the same.
needed=$out/needed-$arch-$for_python-$(cat "$root/constraints.txt" "$root/pyproject.toml" | sha256sum | head -c 16)
if [ ! -d "$needed" ]; then
    rm -rf "$out/needed-$arch-$for_python-"*
    grep -v '^systemd-python' "$root/constraints.txt" > "$out/constraints.txt"
    platforms=()
    for glibc in 28 27 24 17; do platforms+=(--platform "manylinux_2_${glibc}_$machine"); done
    "$python" -m pip install --quiet --target "$needed.new" --only-binary=:all: --no-compile \
        --python-version "$for_python" --implementation cp --abi "cp${for_python/./}" --abi abi3 --abi none \
        "${platforms[@]}" --platform "manylinux2014_$machine" --platform any \
        --constraint "$out/constraints.txt" "${ours[0]}[mqtt]"
    rm -rf "$needed.new"/bin "$needed.new"/janusd* "$out/constraints.txt"
    mv "$needed.new" "$needed"
fi
cp -rl "$needed" "$tree/opt/janus/lib"
"$python" -m pip install --quiet --target "$out/ours" --no-deps --no-compile "$out"/wheel/janusd-*.whl
rm -rf "$out/ours/bin"
mv "$out"/ours/* "$tree/opt/janus/lib/"

program() { # NAME MODULE [FLAGS]: one that starts a module's main()
    printf '#!/usr/bin/python3 %s\nimport sys\n\nsys.path.insert(0, "/opt/janus/lib")\nfrom %s import main\n\nsys.exit(main())\n' \
        "${3:--I}" "$2" > "$tree/opt/janus/bin/$1"
    chmod 755 "$tree/opt/janus/bin/$1"
}
program janusd janusd.main
program janusctl janusd.cli.main
program janus-self-test janusd.selftest
program janus-binding janusd_hw.keys_credential
program janus-pam janusd.cli.pam
program janus-session janusd.cli.session
program janus-mqtt janusd.bridge.main
# Without Debian's site packages: nothing of them is needed, and the start is sooner.
program janus-latchd janusd_hw.latchd.main -IS
program janus-lock-now janusd_hw.latchd.lock_now -IS
printf '#!/bin/sh\n# Python with janusd in reach: /opt/janus/bin/python -m janusd_hw.boards\nPYTHONPATH=/opt/janus/lib exec /usr/bin/python3 "$@"\n' \
    > "$tree/opt/janus/bin/python"
chmod 755 "$tree/opt/janus/bin/python"

to() { install -D -m 644 "$1" "$tree/$2"; }
for unit in "$units"/*.service "$units"/*.socket; do to "$unit" "usr/lib/systemd/system/$(basename "$unit")"; done
to "$units/sysusers.conf" usr/lib/sysusers.d/janus.conf
to "$units/tmpfiles.conf" usr/lib/tmpfiles.d/janus.conf
to "$units/99-janus.rules" usr/lib/udev/rules.d/99-janus.rules
to "$units/since-257.conf" opt/janus/share/since-257.conf
for example in janus.toml latch.toml kiosk.toml mqtt.toml pam-janus; do to "$units/$example" "opt/janus/share/$example"; done
for example in workbench pi5-camera; do
    to "$units/janusd.service.d/$example.conf.example" "opt/janus/share/$example.conf.example"
done
to "$root/LICENSE" usr/share/doc/janusd/copyright
for page in "$root"/docs/man/*.[158]; do
    man=usr/share/man/man${page##*.}/$(basename "$page")
    to "$page" "$man" && gzip -n9 "$tree/$man"
done
to "$root/docs/man/janusctl.bash" usr/share/bash-completion/completions/janusctl
to "$root/docs/man/janusctl.zsh" usr/share/zsh/vendor-completions/_janusctl
to "$root/docs/man/janusctl.fish" usr/share/fish/vendor_completions.d/janusctl.fish
mkdir -p "$tree/usr/bin"
for program in janusctl janusd; do ln -s "/opt/janus/bin/$program" "$tree/usr/bin/$program"; done

size=$(du -sk "$tree" | cut -f1)
next=${for_python%.*}.$((${for_python#*.} + 1))
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@PYTHON@/$for_python/; s/@NEXT@/$next/" \
    "$here/control" > "$tree/DEBIAN/control"
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$tree/DEBIAN/$script"; done
package=$out/janusd_${version}_${arch}_python$for_python.deb
dpkg-deb --root-owner-group -Zzstd -z3 --build "$tree" "$package" > /dev/null
ln -sf "$(basename "$package")" "$out/janusd.deb"
rm -rf "$tree" "$out/wheel" "$out/ours"
echo "$package: $(du -h "$package" | cut -f1), $((size / 1024)) MiB installed"
