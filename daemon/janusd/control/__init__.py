"""The control socket: Varlink over a Unix stream socket, for the people who may look after a door.

    server.py     the socket file, who is let in, how many at once
    peer.py       who is at the other end, by the kernel's word, and which verbs that allows
    wire.py       bytes in and out, framed, bounded in size and time
    session.py    one connection: parse, authorise, answer
    desk.py       the enrolment one connection holds, and blocking calls moved off the event loop
    interface.py  the verbs, typed; `org.janusd.Door.varlink` is rendered from it
    discreet.py   what is left out for whoever is no owner
    picture.py    an encoded picture from outside -> Image

Trust boundary: every byte comes from another process. The kernel says whose (SO_PEERCRED); that user is
checked before a byte is parsed and again at each request. A message that is not one plain Varlink call
closes the connection. Memory is bounded by what a connection may send: 16 KiB, or one picture for the
single connection that holds the door's single enrolment.
"""

from janusd.control.peer import Access, Peer, Role
from janusd.control.server import ControlServer

__all__ = ["Access", "ControlServer", "Peer", "Role"]
