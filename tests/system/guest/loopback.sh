#!/bin/sh
# Plugs the camera in: /dev/video10, which rig-camera.service shows pictures to.
exec modprobe v4l2loopback devices=1 video_nr=10 card_label=rig-camera exclusive_caps=1
