#!/bin/sh
# Plugs a TPM 2.0 in, in place of the one that is there: swtpm behind tpm_vtpm_proxy. `tpm.sh NAME`: that one, with
# all it ever kept. At boot hardware.sh plugs in again whose name stands in /rig/tpm.
set -e
modprobe tpm_vtpm_proxy
[ ! -e /run/rig/swtpm ] || { kill "$(cat /run/rig/swtpm)"; while [ -e /dev/tpmrm0 ]; do sleep .1; done; }
mkdir -p "/var/lib/rig-tpm/$1" /run/rig
swtpm chardev --vtpm-proxy --tpm2 --tpmstate "dir=/var/lib/rig-tpm/$1" --pid file=/run/rig/swtpm --daemon
while [ ! -e /dev/tpmrm0 ]; do sleep .1; done
echo "$1" > /rig/tpm
