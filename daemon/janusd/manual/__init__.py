"""`make man`: manual pages and shell completion, written from what the programs themselves are made of.

Command lines come from argparse, janus.toml from the configuration's types and the file that ships, files
on the device from ARCHITECTURE.md. Only sentences that stand nowhere else are written here, in `pages.py`.
"""
