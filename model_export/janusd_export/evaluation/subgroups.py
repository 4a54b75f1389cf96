"""Errors by label: does the encoder serve everybody alike?

Labels come from a CSV file whose first column is `person` or `photo` (a photograph's name) and whose others
are attributes. Empty cells are unlabelled. FNMR counts pairs of one person's photographs, FMR pairs of
different people who share the label, both at the threshold of all: strangers who look alike in such a way are
whom a door must tell apart.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from janusd_export.errors import ExportError
from janusd_export.evaluation.curves import Ranked, all_pairs
from janusd_export.evaluation.findings import Subgroup, Subgroups
from janusd_export.faces.device import Embedded
from janusd_export.metrics import rate

LARGEST = 40  # values of one attribute; more are a name or a number, not a group


def read_attributes(path: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """("person" or "photo", name -> attribute -> value). Raises ExportError naming file and line."""
    labels: dict[str, dict[str, str]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            head = rows.fieldnames or []
            if len(head) < 2 or head[0] not in ("person", "photo"):
                raise ExportError(f"{path}: the head must be person,ATTRIBUTE,... or photo,ATTRIBUTE,...")
            for row in rows:
                if None in row or None in row.values():
                    raise ExportError(f"{path}, line {rows.line_num}: {len(head)} columns are needed")
                labels[row[head[0]]] = {name: row[name].strip() for name in head[1:]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExportError(f"cannot read {path}: {error}") from error
    if not labels:
        raise ExportError(f"{path} labels nobody")
    return head[0], labels


def measure(embedded: Embedded, path: Path, threshold: float, fmr: float) -> Subgroups:
    """Errors of every attribute's every value, at one threshold. A missed face never matches."""
    of, labels = read_attributes(path)
    each = [labels.get(photo.person if of == "person" else photo.name, {}) for photo in embedded.photos]
    attributes = list(next(iter(labels.values())))
    if not any(each):
        raise ExportError(f"{path}: none of its {len(labels):,} names is in the collection")
    _, person = np.unique([photo.person for photo in embedded.photos], return_inverse=True)
    found = []
    for attribute in attributes:
        values = np.array([label.get(attribute, "") for label in each])
        names = sorted(set(values.tolist()) - {""})
        if len(names) > LARGEST:
            raise ExportError(
                f"{path}: {attribute} has {len(names)} values: group them into {LARGEST} or fewer"
            )
        for name in names:
            rows = np.flatnonzero(values == name)
            scored = all_pairs(embedded.embeddings[rows], person[rows].astype(np.int32))
            ranked = Ranked.of(scored.genuine, scored.impostor)
            friends, strangers = len(ranked.genuine), len(ranked.impostor)
            found.append(
                Subgroup(
                    attribute,
                    name,
                    people=len(np.unique(person[rows])),
                    photos=len(rows),
                    fnmr=rate(friends - ranked.matches(threshold), friends),
                    fmr=rate(ranked.false_matches(threshold), strangers),
                )
            )
    return Subgroups(threshold, fmr, found, sum(not any(label.values()) for label in each))
