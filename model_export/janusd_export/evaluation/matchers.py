"""The same embeddings, compared in other ways: is plain cosine leaving something on the table?

People are enrolled from a few photographs each, others of theirs and of strangers are shown. Every matcher
answers with a person and a score of its own; its threshold is the one that lets one in a hundred of one half
of the strangers in, and its errors are counted on the other half. The support vector machines are
scikit-learn's (make setup-export) and learn each gallery anew: a door that enrols somebody would have to.
"""

# ruff: noqa: PLC0415, N806  # scikit-learn loads only where it is used; X is a matrix

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from janusd.core.gallery import Gallery
from janusd.core.match import person_scores
from janusd_export.errors import ExportError
from janusd_export.evaluation.findings import Matcher, Matchers
from janusd_export.faces.device import Embedded
from janusd_export.metrics import Rate, rate

SAMPLES = 3
PEOPLE = 100
PROBES = 5  # photographs of one resident that are shown
FPIR = 0.01
NEIGHBOURS = 3

Scores = NDArray[np.float32]
Search = Callable[[NDArray[np.float32]], Scores]
"""(n, D) probes -> (n, people) scores, higher is more alike."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A drawn gallery and who is shown to it; people are numbered from 0 in the gallery."""

    enrolled: NDArray[np.float32]
    """(people * samples, D)."""
    owner: NDArray[np.int32]
    probes: NDArray[np.float32]
    """(n, D)."""
    own: NDArray[np.int32]
    """(n,) number of the person shown, -1 a stranger."""


def draw(embedded: Embedded, people: int = PEOPLE, samples: int = SAMPLES, seed: int = 0) -> Bench:
    """Enrol people with enough photographs; show their others, and one of each other person.

    Photographs in which no face was found are left out: the detector is not on trial here. Raises ExportError
    where too few people have enough.
    """
    rng = np.random.default_rng(seed)
    by_person: dict[str, list[int]] = {}
    for number, photo in enumerate(embedded.photos):
        if embedded.is_found[number]:
            by_person.setdefault(photo.person, []).append(number)
    several = sorted(name for name, rows in by_person.items() if len(rows) > samples)
    if len(several) < 2 or len(by_person) - min(people, len(several)) < 4:
        raise ExportError(
            f"matchers: fewer than two people have {samples + 1} photographs, or no strangers are left"
        )
    names = sorted(rng.choice(several, min(people, len(several)), replace=False).tolist())
    enrolled, owner, probes, own = [], [], [], []
    for number, name in enumerate(names):
        rows = rng.permutation(by_person[name]).tolist()
        enrolled += rows[:samples]
        owner += [number] * samples
        shown = rows[samples : samples + PROBES]
        probes += shown
        own += [number] * len(shown)
    for name in sorted(set(by_person) - set(names)):
        probes.append(int(rng.choice(by_person[name])))
        own.append(-1)
    return Bench(
        embedded.embeddings[enrolled],
        np.array(owner, np.int32),
        embedded.embeddings[probes],
        np.array(own, np.int32),
    )


def compare(bench: Bench, *, with_svm: bool = True) -> list[Matcher]:
    """Each matcher's errors on the same gallery and probes."""
    rows = [
        _row("cosine", "to the mean of a person's samples, as the door matches", bench, _cosine(bench)),
        _row("nearest sample", "best cosine of a person's samples", bench, _nearest(bench)),
        _row(
            "k-NN", f"vote of the {NEIGHBOURS} nearest samples, weighted by cosine", bench, _neighbours(bench)
        ),
    ]
    if with_svm:
        rows += [
            _row("SVM, linear", "one against the rest, on the gallery", bench, _svm(bench, "linear")),
            _row("SVM, RBF", "one against the rest, on the gallery", bench, _svm(bench, "rbf")),
        ]
    return rows


def measure(bench: Bench, search: Search, seed: int = 0) -> tuple[Rate, Rate, Rate]:
    """(rank 1, FNIR, FPIR): threshold from one half of the strangers, FPIR on the other."""
    scores = search(bench.probes)
    best, score = scores.argmax(axis=1), scores.max(axis=1)
    is_mated = bench.own >= 0
    is_right = best == bench.own
    strangers = np.random.default_rng(seed).permutation(np.flatnonzero(~is_mated))
    chosen_on, counted_on = strangers[: len(strangers) // 2], strangers[len(strangers) // 2 :]
    allowed = int(FPIR * len(chosen_on))
    threshold = np.sort(score[chosen_on])[::-1][allowed]  # the first stranger who must stay outside
    opens = score > threshold
    mated = int(is_mated.sum())
    return (
        rate(int((is_mated & is_right).sum()), mated),
        rate(int((is_mated & ~(opens & is_right)).sum()), mated),
        rate(int(opens[counted_on].sum()), len(counted_on)),
    )


def pair_svm(
    a: NDArray[np.float32], b: NDArray[np.float32], is_same: NDArray[np.bool_], fold: NDArray[np.int64]
) -> Rate:
    """Ten-fold accuracy of a linear machine on the products of two embeddings' numbers.

    A weight a dimension: cosine is the machine whose weights are all one.
    """
    from sklearn.svm import LinearSVC

    X = (a * b) * np.float32(a.shape[1])  # products of unit vectors are tiny: about one a dimension now
    right = 0
    for number in np.unique(fold):
        here = fold == number
        machine = LinearSVC(C=1e-3, dual=False, random_state=0).fit(X[~here], is_same[~here])
        right += int((machine.predict(X[here]) == is_same[here]).sum())
    return rate(right, len(X))


def _row(name: str, how: str, bench: Bench, search: Search) -> Matcher:
    rank_1, fnir, fpir = measure(bench, search)
    return Matcher(name, how, rank_1, fnir, fpir)


def people(bench: Bench) -> int:
    """How many are enrolled."""
    return int(bench.owner.max()) + 1


def _cosine(bench: Bench) -> Search:
    """The daemon's own comparison."""
    gallery = Gallery.of_embeddings(
        {f"{n:06d}": list(bench.enrolled[bench.owner == n]) for n in range(people(bench))}
    )
    return lambda probes: np.stack([person_scores(probe, gallery) for probe in probes])


def _nearest(bench: Bench) -> Search:
    each = [bench.enrolled[bench.owner == n] for n in range(people(bench))]
    return lambda probes: np.stack([(probes @ samples.T).max(axis=1) for samples in each], axis=1)


def _neighbours(bench: Bench) -> Search:
    """Sum of a person's cosines among the k nearest samples, over k."""

    def search(probes: NDArray[np.float32]) -> Scores:
        score = probes @ bench.enrolled.T
        k = min(NEIGHBOURS, score.shape[1])
        nearest = np.argsort(-score, axis=1, kind="stable")[:, :k]
        votes = np.zeros((len(probes), people(bench)), np.float32)
        rows = np.repeat(np.arange(len(probes)), k)
        np.add.at(
            votes, (rows, bench.owner[nearest].ravel()), np.take_along_axis(score, nearest, 1).ravel() / k
        )
        return votes

    return search


def _svm(bench: Bench, kernel: str) -> Search:
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import SVC

    machine = OneVsRestClassifier(SVC(kernel=kernel, C=10.0, gamma="scale", class_weight="balanced"))
    machine.fit(bench.enrolled, bench.owner)

    def search(probes: NDArray[np.float32]) -> Scores:
        decision = np.asarray(machine.decision_function(probes), np.float32)
        return decision if decision.ndim == 2 else np.stack([-decision, decision], axis=1)

    return search


def report(
    embedded: Embedded,
    a: NDArray[np.intp],
    b: NDArray[np.intp],
    is_same: NDArray[np.bool_],
    fold: NDArray[np.int64],
) -> Matchers:
    """All matchers on one drawn gallery, and the machine on the listed pairs whose faces were found."""
    try:
        import sklearn  # noqa: F401

        with_svm, note = True, ""
    except ModuleNotFoundError:
        with_svm, note = (
            False,
            "no support vector machines: scikit-learn is not installed (make setup-export)",
        )
    bench = draw(embedded)
    found = embedded.is_found[a] & embedded.is_found[b]
    on_pairs = None
    if with_svm and len(np.unique(fold[found])) > 1:
        rows = embedded.embeddings
        on_pairs = pair_svm(rows[a[found]], rows[b[found]], is_same[found], fold[found])
    return Matchers(
        enrolled=people(bench),
        samples=SAMPLES,
        mated=int((bench.own >= 0).sum()),
        non_mated=int((bench.own < 0).sum()),
        rows=compare(bench, with_svm=with_svm),
        pair_svm=on_pairs,
        note=note,
    )
