"""The door log: who came in, who was refused, what was done to the vault; append-only and hash-chained.

    journal  one row: the journal's random id, the last entry's number and chain, and a mark over both
    entry    number, time in microseconds since 1970, the sealed body, the chain

    body     msgpack array: at, kind, reason, name, note, person id; sealed (see `vault.format`) because who
             comes home when is nobody's business who finds the card; bound to journal id, number and time
    chain    HMAC-SHA256 over the previous chain, number, time, sealed body and tag; before entry 1 stands the
             HMAC of the journal's id
    mark     HMAC-SHA256 over the last number and chain: cutting the newest entries off shows
    tag      HMAC under a key that goes one step forward with each entry, see `core.forward`
    forward  one row: the number and chain before the first entry that is still kept, and the next tag's key,
             sealed and bound to both and to the last number

Both fixed keys come from HKDF-SHA256(source key, salt = journal id, info = "janusd journal v1").

The forward key begins at random and its older values are overwritten, in the file at once and in SQLite's
write-ahead log each `ERASE_EVERY` entries. Logs of version 1 had no tags: they get them from then on.

Trust boundary: an attacker may edit the file, and may have said anything that is logged. Without the key
they can't alter, reorder, insert or drop entries unnoticed, but can put back a whole older copy. With
today's key they can make a log that `verify` here believes, but not one that an owner's checkpoint from
before does (docs/adr/0009). Nothing said can forge a line: values are stored as values, and `line` escapes
them.

    tables.py   the file: its tables and the types of their rows
    keys.py     the journal's two keys, and what is computed with them
    words.py    an entry in words: what is stored of them, and one line for a terminal
    log.py      the open log
"""

from janusd.journal.log import Journal
from janusd.journal.tables import is_begun
from janusd.journal.words import LONGEST_TEXT, line

__all__ = ["LONGEST_TEXT", "Journal", "is_begun", "line"]
