"""`make torture`: what a bad year does to a door, in an hour, counted.

Each module is one kind of trouble and gives `Row`s; `__main__` runs them with one seed and draws one table.
`harm` counts what must never happen, and must be 0: somebody lost, somebody back, somebody let in, a forged
line, a crash. What a module calls harmless, it has looked at: nothing that matters was different.
"""
