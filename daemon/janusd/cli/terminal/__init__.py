"""Live pictures in a terminal: what it can show, and the bytes that show it.

    ability.py    what the terminal at the other end can show
    bitmap.py     a small picture: mirror, scale, draw on it
    blocks.py     half blocks in colour, only the cells that changed
    kitty.py      the kitty graphics protocol
    sixel.py      sixel graphics
    pace.py       how many bytes a second may leave
    screen.py     the alternate screen: lines, keys, and the way back

No picture library is needed: the daemon sends bare pixels, as many as there is room for.
"""
