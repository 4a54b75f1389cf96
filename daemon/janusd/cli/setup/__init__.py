"""`janusctl setup`: from a board with a camera to a door that lets its owner in, in words, over SSH.

    verb.py      the command line, and how it ends
    wizard.py    the order of the steps: ask all, show what would change, then do it
    step.py      what a step is, and the desk they share
    steps/       one module a step
    person.py    whoever sits at the terminal
    scout.py     asks `janusd --discover`, a process of its own: no driver is imported here
    answers.py   the answers, from a person or a file
    wiring.py    what is connected to which line, and whether that is wise
    texts.py     both files as they would be, and what differs
    view.py      what the camera sees
    header.py    the board's header, drawn
    tomledit.py  changes values in a TOML file and leaves its comments
    memory.py    what was done, for --undo; files replaced whole or not at all
    systemd.py   units, where systemd runs

Nothing is written before the difference was shown and agreed to. From then on each thing is noted before
it is done, and each file is replaced by renaming: killed at any moment, every file is the old or the new one.
"""
