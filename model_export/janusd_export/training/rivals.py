"""One recipe, several objectives: what each rival asks of the same student, everything else as it was.

    name          asks                                                        needs
    contrastive   distances of pairs                                          labelled people
    triplet       distances of triplets                                       labelled people
    softmax       one class a person                                          labelled people
    arcface       one class a person, with a margin                           labelled people
    from-TEACHER  that teacher's vectors                                      its embeddings
    from-all      all teachers' vectors in one                                two teachers or more
    relational    the same, and the teachers' ranking of other faces          a teacher
    combination   everything the base recipe asks for                         what the base recipe needs

Seed, student, faces, split, augmentation, learning rate and budget are the base recipe's. What follows from
the objective itself differs: those that only know people draw labelled faces alone, several of a person where
they compare faces, and have no mixtures, which are nobody. Nothing is tuned for any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from janusd_export.errors import ExportError
from janusd_export.faces.teachers import ARCFACE, RETAIL
from janusd_export.training.recipe import Losses, Mixtures, Recipe, Schedule

_SHORT = {ARCFACE.name: "mbf", RETAIL.name: "retail"}
"""Teachers' names that fit beside a line."""


@dataclass(frozen=True, slots=True)
class Rival:
    """One objective, and the recipe it trains by."""

    name: str
    asks: str
    recipe: Recipe
    knows_people: bool
    """Whether it learns from nothing but labels."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a cache has for rivals to learn from."""

    teachers: Mapping[str, int]
    """Name and dimensions of each teacher whose embeddings are there."""
    faces_of: NDArray[np.intp]
    """(people,) how many training faces each labelled person has."""


@dataclass(frozen=True, slots=True)
class _PeopleTerm:
    """An objective that knows nothing but people."""

    asks: str
    losses: Mapping[str, float]
    least: int
    """Faces of a person that a batch needs."""
    compares: bool
    """Whether faces of a batch are compared with each other: it then stays in one piece."""


_PEOPLE_TERMS = {
    "contrastive": _PeopleTerm("distances of pairs", {"contrastive": 1.0}, 2, compares=True),
    "triplet": _PeopleTerm("distances of triplets, semi-hard", {"triplet": 1.0}, 2, compares=True),
    "softmax": _PeopleTerm("one class a person", {"softmax": 1.0}, 1, compares=False),
    "arcface": _PeopleTerm("one class a person, angular margin", {"arcface": 1.0}, 1, compares=False),
}
_KEPT = ("contrastive_margin", "triplet_margin", "arcface_margin_deg", "arcface_scale", "temperature", "bank")
"""Of a base recipe's [losses]: numbers that say how a term is asked, not how much."""


def choose(base: Recipe, material: Material, only: Sequence[str] | None = None) -> tuple[Rival, ...]:
    """The rivals of these names, or all, in the order of the table above.

    Raises ExportError for a name that is none, and for what the cache has nothing to teach with.
    """
    teachers = list(base.target.teachers or material.teachers)
    alone = {f"from-{_SHORT.get(name, name)}": name for name in teachers}
    known = [*_PEOPLE_TERMS, *alone, "from-all", "relational", "combination"]
    if unknown := [name for name in only or () if name not in known]:
        raise ExportError(f"{unknown[0]} is no objective: choose among {', '.join(known)}")
    wanted = [name for name in known if name in (only or known)]
    lost = _without_teacher(base, material, teachers, wanted)
    lost |= _without_people(base, material, wanted)
    if lost:
        left = [name for name in wanted if name not in lost]
        leave = f", or leave it out: --only {' '.join(left)}" if left else ""
        raise ExportError("; ".join(dict.fromkeys(lost.values())) + leave)
    _check_dimensions(base, material, {name: alone[name] for name in wanted if name in alone})
    return tuple(_rival(name, base, material, alone) for name in wanted)


def fewest_faces_a_person(batch: int, least: int, faces_of: NDArray[np.intp]) -> int:
    """How many faces of a person a batch draws: `least`, or more where there are too few people.

    A divisor of the batch, so that every rival's batch is as large. Raises ExportError where there is none.
    """
    for each in range(least, batch + 1):
        if batch % each == 0 and int((faces_of >= each).sum()) >= batch // each:
            return each
    raise ExportError(
        f"schedule.batch = {batch} cannot be filled with {least} or more faces a person: "
        f"{int((faces_of >= least).sum())} people to learn from have so many; lower schedule.batch"
    )


def _without_teacher(
    base: Recipe, material: Material, teachers: list[str], wanted: list[str]
) -> dict[str, str]:
    """Which of the wanted cannot be asked for want of teachers, and why."""
    lost = {}
    missing = [name for name in teachers if name not in material.teachers]
    for name in wanted:
        listens = name in ("from-all", "relational") or (name == "combination" and base.wanted_teachers != ())
        if name.startswith("from-") and name != "from-all":
            listens = True
        if not listens:
            continue
        if missing or not teachers:
            lost[name] = f"the cache has no embeddings of {', '.join(missing) or 'any teacher'}: " + (
                "run janus-export teach"
            )
        elif name == "from-all" and len(teachers) < 2:
            lost[name] = (
                f"from-all asks two teachers or more, and the cache has {teachers[0]} alone: teach another"
            )
    return lost


def _without_people(base: Recipe, material: Material, wanted: list[str]) -> dict[str, str]:
    """Which of the wanted cannot be asked for want of labels, and why."""
    if len(material.faces_of) >= 2:
        return {}
    only_people = base.wanted_teachers == () and not base.losses.hints
    names = [n for n in wanted if n in _PEOPLE_TERMS or (n == "combination" and only_people)]
    why = (
        f"{', '.join(names)}: learn from people alone, and fewer than two are labelled beside those held "
        "out: import labelled people"
    )
    return dict.fromkeys(names, why)


def _check_dimensions(base: Recipe, material: Material, alone: Mapping[str, str]) -> None:
    asked = base.target.embedding
    for name, teacher in alone.items():
        if material.teachers[teacher] < asked:
            raise ExportError(
                f"{name}: target.embedding = {asked}, and {teacher} has {material.teachers[teacher]} "
                "dimensions: lower target.embedding, for all the same"
            )


def _rival(name: str, base: Recipe, material: Material, alone: Mapping[str, str]) -> Rival:
    if name == "combination":
        return Rival(name, "all that the recipe asks for", base, knows_people=base.wanted_teachers == ())
    how = {key: getattr(base.losses, key) for key in _KEPT}
    late = tuple(msgspec.structs.replace(part, losses={}) for part in base.late)
    base = msgspec.structs.replace(base, late=late)  # other weights later on are the recipe's own idea
    if name in _PEOPLE_TERMS:
        term = _PEOPLE_TERMS[name]
        recipe = msgspec.structs.replace(
            base,
            losses=Losses(embedding=0.0, **{**how, **term.losses}),
            schedule=_by_person(base.schedule, term, material.faces_of),
            mixtures=Mixtures(),
        )
        return Rival(name, term.asks, recipe, knows_people=True)
    # Teachers alone: what labels would add (a person's mean in the target) belongs to the combination.
    teachers = (alone[name],) if name in alone else base.target.teachers
    target = msgspec.structs.replace(base.target, teachers=teachers, person_weight=0.0)
    losses = Losses(
        embedding=base.losses.embedding or 1.0,
        relational=(base.losses.relational or 0.5) if name == "relational" else 0.0,
        **how,
    )
    asks = {"from-all": "all teachers' vectors", "relational": "the same, and their ranking of a bank"}
    return Rival(
        name,
        asks.get(name) or f"vectors of {alone[name]}",
        msgspec.structs.replace(base, target=target, losses=losses),
        knows_people=False,
    )


def _by_person(schedule: Schedule, term: _PeopleTerm, faces_of: NDArray[np.intp]) -> Schedule:
    least = max(term.least, schedule.faces_a_person)
    return msgspec.structs.replace(
        schedule,
        faces_a_person=fewest_faces_a_person(schedule.batch, least, faces_of),
        pieces=1 if term.compares else schedule.pieces,
    )
