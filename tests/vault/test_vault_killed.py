"""SIGKILL at any moment leaves a whole vault. Not tested here: power cuts, which lose unsynced writes."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import pytest
import vault_writer
from vault_kit import DEVICE, MODEL, new_key

from janusd.vault.store import Vault

KILLS = 40


@pytest.mark.slow
def test_what_was_acknowledged_survives_forty_kills_and_the_forgotten_stay_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "janus"
    key = new_key(folder / "key")
    Vault.create(folder / "vault.db", key, DEVICE)
    chance, expected, acknowledged, killed_midway = random.Random(0), set[str](), 0, 0
    for seed in range(KILLS):
        pending = None
        for word, name in kill_a_writer(folder, seed, chance.uniform(0, 0.15)):
            if word == "added":
                expected.add(name)
            elif word == "forgot":
                expected.discard(name)
            acknowledged += word in ("added", "forgot")
            pending = name if word in ("adding", "forgetting") else None
        vault = Vault.open(folder / "vault.db", key, DEVICE, MODEL)
        found = {person.name for person in vault.people()}
        assert {template.name for template in vault.templates()} == found
        vault.close()
        if pending is not None:  # killed between asking and acknowledging: either is right
            killed_midway += 1
            expected = (expected - {pending}) | (found & {pending})
        assert found == expected
    print(f"{KILLS} kills, {killed_midway} within a change, {acknowledged} acknowledged changes, 0 lost")
    assert killed_midway > 0
    assert acknowledged > 0


def kill_a_writer(folder: Path, seed: int, after_s: float) -> list[tuple[str, str]]:
    """What a writer said before it was killed `after_s` seconds after it had opened the vault."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(
        ["pytest", "janusd.journal", "janusd.vault.store"]
    )  # not for each kill anew
    hears, says = processes.Pipe(duplex=False)
    writer = processes.Process(target=vault_writer.write, args=(folder, seed, says))
    writer.start()
    says.close()
    said = []
    with hears:
        assert hears.recv() == ("ready", "")
        time.sleep(after_s)
        writer.kill()
        try:
            while True:
                said.append(hears.recv())
        except EOFError:
            writer.join()
            writer.close()
    return said
