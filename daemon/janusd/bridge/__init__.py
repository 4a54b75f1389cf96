"""janus-mqtt: tells a home's MQTT broker what the door does, so that it appears in Home Assistant by itself.

    settings.py   mqtt.toml, and user name and password from a systemd credential
    messages.py   what the door does -> topics and payloads, pure
    broker.py     one connection to the broker: TLS, last will, no subscription
    main.py       the program: door in, broker out, both awaited when they are away

It goes one way. Nothing that comes from the broker is read: there is no subscription, no command topic and no
verb to unlock with. A broker is a place where many programs may write, a phone among them; a door that opens
when something there says so has them all for keys. So janusd has no network at all, this is a process and a
user of its own, and at the control socket that user may follow what happens (`Observe`) and ask for nothing.

Trust boundary: the broker is anybody's. What it sends is MQTT's own acknowledgements, read by paho-mqtt; what
it is told is no secret: codes, and names of people only where the owner lets observers hear them.
"""
