"""The report's sections on the model itself and on single pairs, people and layers; see `sections`."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

import cv2

from janusd_export.evaluation.findings import WorstPair
from janusd_export.faces.photos import Photo, decode
from janusd_export.reporting import figures
from janusd_export.reporting.markup import (
    NOTHING,
    Section,
    gallery,
    how,
    listing,
    measured_on,
    missing,
    percent,
    rate,
    score,
    share_at,
    table,
    words,
)
from janusd_export.reporting.material import Faces, Inputs
from janusd_export.training.runs import Run

_FACE_PX = 120


def draw_compared(inputs: Inputs) -> Section:
    """Other encoders on the same photographs."""
    found = inputs.evaluation
    networks = found.networks if found else []
    if found is None or len(networks) < 2:
        return Section(
            "compared",
            "Beside other encoders",
            missing(
                "janus-export evaluate --lfw LFW --models OUT --cross --float OUT/float.tflite --teachers "
                "TEACHERS --peer dlib --out OUT/evaluation.json"
            ),
        )
    rows = []
    for number, network in enumerate(networks):
        points = [
            share_at(network.points, 1e-3),
            share_at(network.cross, 1e-4),
            share_at(network.cross, 1e-5),
        ]
        rows.append(
            (
                escape(network.name if number else f"{found.encoder.name}, {network.name}")
                + (f"<small>cosine to int8 {network.cosine:.4f}</small>" if network.cosine else ""),
                rate(network.accuracy, narrow=True),
                f"{100 * network.equal_error_rate:.2f} %",
                *points,
                f"{network.bytes / 1e6:.2f} MB" if network.bytes else NOTHING,
                _spent(network.embedding_ms, networks[0].embedding_ms),
            )
        )
    head = (
        "encoder",
        "listed pairs right",
        "EER",
        "TAR at FAR 1e-3, listed",
        "1e-4, all pairs",
        "1e-5, all pairs",
        "size",
        "an embedding",
    )
    drawn = figures.networks(networks)
    on = measured_on(inputs.borrowed("networks"))
    return Section(
        "compared",
        "Beside other encoders",
        how(
            "The same photographs, the same detections, the same comparison: only the encoder changes. "
            "Times are processor "
            "time of one core of one machine; trust their ratios."
        )
        + on
        + (gallery((drawn, "At the rarest rate all were measured at", "Intervals: 95 %.")) if drawn else "")
        + table(head, rows, is_html=True),
    )


def _spent(spent_ms: float | None, ours_ms: float | None) -> str:
    """Time of an embedding, and how many of the page's encoder fit into it."""
    if not spent_ms:
        return NOTHING
    times = (
        f'<small class="n">{spent_ms / ours_ms:.1f} times ours</small>'
        if ours_ms and spent_ms != ours_ms
        else ""
    )
    return f"{spent_ms:.1f} ms{times}"


def draw_matchers(inputs: Inputs) -> Section:
    """Other comparisons of the same embeddings."""
    found = inputs.evaluation.matchers if inputs.evaluation else None
    if found is None:
        return Section(
            "matchers",
            "Other ways to compare",
            missing("janus-export evaluate --lfw LFW --models OUT --matchers --out OUT/evaluation.json"),
        )
    rows = [
        (f"{escape(r.name)}<small>{escape(r.how)}</small>", rate(r.rank_1), rate(r.fnir), rate(r.fpir))
        for r in found.rows
    ]
    extra = ""
    if found.pair_svm and inputs.evaluation:
        extra = (
            f"<p>On the listed pairs a linear machine over the products of two embeddings decides "
            f"{rate(found.pair_svm, inline=True)} "
            f"right in ten folds; plain cosine {rate(inputs.evaluation.pairs.accuracy, inline=True)}.</p>"
        )
    return Section(
        "matchers",
        "Other ways to compare",
        how(
            f"The same embeddings, {found.enrolled} people enrolled from {found.samples} photographs each. "
            f"Would a cleverer matcher than "
            "the door's cosine refuse fewer residents? Each has the threshold that lets one in a hundred "
            "of one half of the "
            "strangers in; the other half is counted."
        )
        + measured_on(inputs.borrowed("matchers"))
        + gallery(
            (
                figures.matchers(found),
                "Residents refused by each",
                "Dots with 95 % intervals; the door's own is coloured.",
            )
        )
        + table(
            ("matcher", "most similar is right", "residents refused", "strangers let in"), rows, is_html=True
        )
        + extra
        + (f'<p class="warn">{escape(found.note)}</p>' if found.note else ""),
    )


def draw_subgroups(inputs: Inputs) -> Section:
    """Errors by label."""
    found = inputs.evaluation.subgroups if inputs.evaluation else None
    if found is None:
        return Section(
            "groups",
            "Does it serve everybody alike?",
            missing(
                "janus-export evaluate --lfw LFW --models OUT --attributes LABELS.csv --out "
                "OUT/evaluation.json",
                "Not measured: no labels were given. Until somebody measures it, assume that it does not.",
            ),
        )
    drawn, rows = [], []
    for attribute in dict.fromkeys(row.attribute for row in found.rows):
        for friends in (True, False):
            svg = figures.subgroups(found, attribute, friends=friends)
            if svg:
                drawn.append(
                    (
                        svg,
                        attribute,
                        "Friends refused." if friends else "Strangers who share the label and match.",
                    )
                )
    for row in found.rows:
        rows.append(
            (
                f"{escape(row.attribute)}: {escape(row.value)}",
                f"{row.people:,}",
                f"{row.photos:,}",
                rate(row.fnmr),
                rate(row.fmr),
            )
        )
    return Section(
        "groups",
        "Does it serve everybody alike?",
        how(
            f"Errors by label at one threshold ({found.threshold:.4f}, promised FMR {found.fmr:g}). "
            f"Intervals that do not overlap are a "
            "difference worth acting on; wide ones only say that there were few photographs."
        )
        + measured_on(inputs.borrowed("subgroups"))
        + gallery(*drawn)
        + table(
            ("label", "people", "photographs", "friends refused", "strangers matched"), rows, is_html=True
        )
        + (
            f"<p>{found.unlabelled_photos:,} photographs have no label.</p>"
            if found.unlabelled_photos
            else ""
        ),
    )


def draw_map(inputs: Inputs) -> Section:
    """The map of people the network never saw."""
    found = inputs.evaluation.map if inputs.evaluation else None
    if found is None:
        return Section(
            "map",
            "People it never saw",
            missing("janus-export evaluate --lfw LFW --models OUT --map --out OUT/evaluation.json"),
        )
    return Section(
        "map",
        "People it never saw",
        how(
            f"Each dot is a photograph, each mix of colour and shape one of {len(found.people)} people. "
            f"Islands of one kind are what an encoder "
            "should make of people it was never taught. Distances between far islands mean nothing. In the "
            "embedding "
            f"space itself {rate(found.purity, inline=True)} of the photographs have one of the same "
            f"person as their nearest."
        )
        + measured_on(inputs.borrowed("map"))
        + gallery((figures.people(found), found.method, "Names appear when a pointer rests on a dot.")),
    )


def draw_worst(inputs: Inputs) -> Section:
    """Where it errs most: names, or faces where allowed."""
    found = inputs.evaluation
    if found is None:
        return Section(
            "worst",
            "The worst pairs",
            missing("janus-export evaluate --lfw LFW --models OUT --out OUT/evaluation.json"),
        )
    worst = found.pairs.worst
    shown = "".join(
        f"<h3>{title}</h3><ul class='pairs'>"
        + "".join(_pair(pair, inputs.faces) for pair in worst if pair.is_same is is_same)
        + "</ul>"
        for title, is_same in (("One person, least alike", True), ("Two people, most alike", False))
    )
    said = (
        f"Faces are shown under: {inputs.faces.licence}."
        if inputs.faces
        else "Only names of photographs are shown: faces need --may-show-faces LICENCE."
    )
    return Section(
        "worst",
        "The worst pairs",
        how(
            "Where it errs most. Look for label errors, faces in the background and children before "
            "blaming the encoder. " + escape(said)
        )
        + shown,
    )


def _pair(pair: WorstPair, faces: Faces | None) -> str:
    colour = "genuine" if pair.is_same else "impostor"
    pictures = ""
    if faces:
        shown = [faces.photos[name] for name in (pair.a, pair.b) if name in faces.photos]
        pictures = " ".join(_picture(photo, faces) for photo in shown)
    said = "no face found" if pair.score <= -1.0 else score(pair.score)
    return (
        f'<li>{pictures}<div><b style="color:var(--{colour})">{said}</b><br>{escape(pair.a)}<br>'
        f"{escape(pair.b)}</div></li>"
    )


def _picture(photo: Photo, faces: Faces) -> str:
    image = decode(photo.read(), photo.name)
    height, width = image.shape[:2]
    face = faces.find(image)
    if face is None:  # the middle: where a face collection has its faces
        x, y, side = width / 2, height / 2, 0.56 * min(height, width)
    else:
        x, y = face.box_px.x + face.box_px.width / 2, face.box_px.y + face.box_px.height / 2
        side = min(1.3 * max(face.box_px.width, face.box_px.height), height, width)
    left, top = (
        max(0, min(round(at - side / 2), most - round(side))) for at, most in ((x, width), (y, height))
    )
    cut = image[top : top + max(1, round(side)), left : left + max(1, round(side)), ::-1]
    small = cv2.resize(cut, (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    text = base64.b64encode(coded.tobytes()).decode("ascii")
    return f'<img alt="{escape(photo.name, quote=True)}" src="data:image/jpeg;base64,{text}">'


def draw_training(inputs: Inputs) -> Section:
    """What the runs logged."""
    if not inputs.runs:
        return Section(
            "training",
            "Training",
            missing(
                "janus-export train RECIPE.toml --cache CACHE --run-dir RUN, then give RUN to janus-export "
                "report"
            ),
        )
    chosen = inputs.runs
    drawn = [
        (
            figures.training(chosen, "loss", "training loss", validated=False),
            "Loss",
            "Running mean over augmented faces. Losses of different objectives are not comparable, nor those "
            "before and after a change of weights; the figures beside are.",
        ),
        (
            figures.training(chosen, "tar@0.001", "TAR at FAR 1e-3", validated=True, percent=True),
            "Held-out people",
            "Friends matched where one stranger in a thousand is, people never trained on.",
        ),
        (
            figures.training(chosen, "cosine", "cosine to the target", validated=True),
            "Nearness to the teachers",
            "Mean cosine between the student's embedding and the teachers' joint target, held-out people.",
        ),
        (
            figures.training(chosen, "cosine_learnt", "cosine to the target", validated=True),
            "Nearness where it learns",
            "The same of faces that are trained on. What rises here and not beside is learnt by heart: "
            "then more faces help, and longer training does not.",
        ),
        (
            figures.training(chosen, "rate", "learning rate", validated=False),
            "Learning rate",
            "As scheduled.",
        ),
        *(
            (
                figures.terms(run),
                f"What {run.name} was asked",
                "What each term adds to the loss, with its weight. A sudden step is the recipe: its [[late]] "
                "weights begin there.",
            )
            for run in chosen[:1]
        ),
    ]
    rows = [row for run in chosen for row in _milestones(run)]
    head = ("run", "epochs", "time", "faces", "loss", "TAR at 1e-2", "1e-3", "1e-4", "resumed")
    return Section(
        "training",
        "Training",
        how(
            "Each line is a run. What counts is the last value on people that were held out, not the loss "
            "on those that were not."
        )
        + gallery(*[piece for piece in drawn if piece[0]])
        + table(head, rows, is_html=True),
    )


_LOOKS = (5, 30)
"""Epochs after which each run is looked at, besides its end."""


def _milestones(run: Run) -> list[tuple[str, ...]]:
    """Rows of the table: after 5 epochs, after 30, at the end, as far as the run came."""
    epoch = run.epochs_a_step or 0.0
    end = max((entry["step"] for entry in (*run.steps, *run.validations)), default=0)
    looks = [n for n in _LOOKS if epoch and n <= 0.97 * end * epoch]
    began = run.start.get("start_from")
    name = escape(run.name) + (f"<small>began with {escape(str(began))}</small>" if began else "")
    rows = []
    for number, wanted in enumerate([*looks, None]):
        at = end if wanted is None else wanted / epoch
        step, seen = _nearest(run.steps, at), _nearest(run.validations, at)
        rows.append(
            (
                name if not number else "",
                (f"{at * epoch:.1f}" if epoch else NOTHING)
                + ("<small>the end</small>" if wanted is None else ""),
                f"{step['seconds'] / 60:.0f} min" if step.get("seconds") else NOTHING,
                f"{run.start.get('train_faces', 0):,}" if not number else "",
                f"{step['loss']:.3f}" if step.get("loss") else NOTHING,
                *(
                    percent(seen[key]) if isinstance(seen.get(key), float) else NOTHING
                    for key in ("tar@0.01", "tar@0.001", "tar@0.0001")
                ),
                f"{run.starts - 1}" if not number else "",
            )
        )
    return rows


def _nearest(entries: list[dict[str, Any]], step: float) -> dict[str, Any]:
    """What was logged nearest to a step."""
    return min(entries, key=lambda entry: abs(entry["step"] - step), default={})


def draw_layers(inputs: Inputs) -> Section:
    """int8 against float, operator by operator."""
    rows = inputs.model.layers if inputs.model else []
    svg = figures.layers(rows)
    if not svg:
        return Section(
            "layers",
            "What int8 costs, layer by layer",
            missing(
                "janus-export compile RECIPE.toml --cache CACHE --run-dir RUN --models OUT (writes "
                "OUT/layers.json)"
            ),
        )
    return Section(
        "layers",
        "What int8 costs, layer by layer",
        how(
            "Both networks see the same crops from the start, so each row holds the error of everything "
            "above it. "
            "Every 6 dB are one bit. A sudden step down is a layer to look at; a slow slide is rounding."
        )
        + gallery((svg, "Signal to quantization noise", "Lowest in colour. More under a resting pointer.")),
    )


def draw_cost(inputs: Inputs) -> Section:
    """Size, arithmetic, time."""
    found, model = inputs.evaluation, inputs.model
    rows: list[tuple[str, str]] = []
    if model:
        rows.append(("file", f"{model.encoder.file}, {model.bytes:,} bytes"))
        rows.append(("input", f"int8 {model.encoder.input.shape}"))
        rows.append(
            (
                "embedding",
                f"{model.encoder.output.shape[-1]} numbers, {2 if model.encoder.mirrored else 1} runs each",
            )
        )
    macs = sum(row.macs for row in model.layers) if model else 0
    started = [run.start for run in inputs.runs if {"macs", "parameters"} <= run.start.keys()]
    if macs:  # runs of other students may be drawn beside
        started = [start for start in started if abs(int(start["macs"]) - macs) <= 0.01 * macs]
    macs = macs or next((int(start["macs"]) for start in started), 0)
    if macs:
        rows.append(("arithmetic", f"{macs / 1e6:.1f} M multiply-accumulates a run"))
    parameters = next((start["parameters"] for start in started), None)
    if parameters:
        rows.append(("parameters", f"{parameters:,}"))
    if model and model.layers:
        kinds = [row.op for row in model.layers]
        rows.append(
            (
                "operators",
                f"{len(kinds)}: " + ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds)),
            )
        )
    if model and model.edge_tpu:
        mapped = sum(verdict.is_mapped for verdict in model.edge_tpu.verdicts)
        everything = model.edge_tpu.is_mapped
        rows.append(
            (
                "Edge TPU",
                f"{'all' if everything else f'{mapped} of'} {len(model.edge_tpu.verdicts)} operators map "
                f"(by Coral's tables; nobody ran its compiler), {model.edge_tpu.parameter_bytes:,} bytes of "
                "parameters" + ("" if everything else f"; {model.edge_tpu.complaints[0]}"),
            )
        )
    if found:
        e = found.encoder
        rows.append(("one run", f"{e.encoder_ms:.2f} ms of one core (median of 100)"))
        rows.append(("one embedding", f"{e.encoder_ms * e.views:.2f} ms"))
    if not rows:
        return Section(
            "cost", "What it costs to run", missing("janus-export compile, then janus-export evaluate")
        )
    return Section("cost", "What it costs to run", listing(rows))


def draw_provenance(inputs: Inputs) -> Section:
    """Digest, recipe, data, and what could not be measured."""
    rows: list[tuple[str, str]] = []
    if inputs.model:
        rows += [
            ("digest", f"SHA-256 {inputs.model.encoder.sha256}"),
            ("detector", inputs.model.encoder.detector),
        ]
        rows += [(str(key), words(value)) for key, value in inputs.model.encoder.training.items()]
    elif inputs.evaluation:
        rows += [("digest", f"SHA-256 {inputs.evaluation.encoder.sha256}")]
        rows += [(str(key), words(value)) for key, value in inputs.evaluation.encoder.training.items()]
    html = listing(rows)
    if not rows:
        html = missing("janus-export compile, then give OUT to janus-export report")
    for note in inputs.evaluation.notes if inputs.evaluation else []:
        html += f'<p class="warn">Asked for and not measured: {escape(note)}</p>'
    return Section("provenance", "Where it came from", html)
