#!/bin/sh
# Makes the chip and the camera at boot. "persist" in /rig/gpio: a dead owner's line keeps its level, as on
# Raspberry Pi kernels; otherwise it falls.
set -e
persist=0
grep -q persist /rig/gpio 2> /dev/null && persist=1
modprobe gpio-sim persist=$persist
chip=/sys/kernel/config/gpio-sim/rig/bank0
mkdir -p $chip
echo 32 > $chip/num_lines
echo rig-gpio > $chip/label
for line in 17 22 23 24 27; do mkdir -p $chip/line$line && echo GPIO$line > $chip/line$line/name; done
echo 1 > /sys/kernel/config/gpio-sim/rig/live
for pull in /sys/devices/platform/gpio-sim.0/gpiochip*/sim_gpio22/pull; do echo pull-up > "$pull"; done  # closed
sh /rig/loopback.sh
[ ! -e /rig/tpm ] || sh /rig/tpm.sh "$(cat /rig/tpm)"
mkdir -p /run/rig
if [ -x /opt/janus/bin/python ]; then
    systemctl start --no-block rig-camera.service rig-observer.service 2> /dev/null || true
fi
udevadm settle --timeout=10 || true
