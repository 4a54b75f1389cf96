"""janusctl: look after a door from a terminal. A thin client of the control socket.

    main.py      the parser, the verbs' table, exit codes
    verbs.py     status, people, forget, log, doctor
    enrol.py     enrol, from pictures or live
    watch.py     watch
    bench.py     bench; what other boards take stands in references.py
    report.py    report; what the device tells: device.py; whose names go: redact.py
    remote.py    `door.Door` as seen through the socket, typed
    client.py    blocking Varlink over a Unix socket
    show.py      what it looks like

Only the standard library is imported until something is to be drawn: `--json` answers in the time Python
takes to start.
"""
