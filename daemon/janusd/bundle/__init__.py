"""Signed models: what a bundle is, whose signature counts, and how one is installed.

`format` knows the bytes, `keys` whom this device trusts, `check` gives files whose signature held, `install`
puts a bundle where the daemon looks for it. docs/adr/0007 says why it is so.
"""
