#!/bin/sh
# Runs the self-test in janus-latchd's own sandbox: a unit with all its settings, and another program.
set -e
units=/run/systemd/system name=janus-latchd-test
mkdir -p $units/$name.service.d
sed -E -e '/^(ExecStart|ExecStopPost|Sockets|Type|NotifyAccess|WatchdogS|Restart|OnFailure|Requires|RuntimeDirectory)/d' \
    -e "/^\[Service\]/a Type=oneshot\nExecStart=-/opt/janus/bin/janus-self-test --latchd\nRuntimeDirectory=$name\nRuntimeDirectoryPreserve=yes" \
    /usr/lib/systemd/system/janus-latchd.service > $units/$name.service
cp /usr/lib/systemd/system/janus-latchd.service.d/*.conf $units/$name.service.d/ 2> /dev/null || true
systemctl daemon-reload
systemctl start $name
cat /run/$name/self-test.json
