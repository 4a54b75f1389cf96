"""The people of a door, at rest: sealed, durable, and forgotten when told so.

`format` seals bytes, `store` keeps them in SQLite, `keys` fetches the key; `names`, `private` and
`database` are the small rooms they share with the door log.
"""
