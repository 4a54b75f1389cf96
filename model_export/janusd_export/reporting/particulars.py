"""The report's sections on the model itself and on single pairs, people and layers; see `sections`."""

from __future__ import annotations

import base64
from html import escape

import cv2

from janusd_export.evaluation.findings import WorstPair
from janusd_export.faces.photos import Photo, decode
from janusd_export.reporting import figures
from janusd_export.reporting.markup import (
    NOTHING,
    Section,
    gallery,
    how,
    missing,
    rate,
    share_at,
    table,
    words,
)
from janusd_export.reporting.material import Faces, Inputs

_FACE_PX = 120


def draw_compared(inputs: Inputs) -> Section:
    """Other encoders on the same photographs."""
    found = inputs.evaluation
    networks = found.networks if found else []
    if len(networks) < 2:
        return Section(
            "compared",
            "Beside other encoders",
            missing(
                "janus-export evaluate --lfw LFW --models OUT --cross --float OUT/float.tflite --teachers "
                "TEACHERS --peer dlib --out OUT/evaluation.json"
            ),
        )
    rows = []
    for network in networks:
        points = [
            share_at(network.points, 1e-3),
            share_at(network.cross, 1e-4),
            share_at(network.cross, 1e-5),
        ]
        rows.append(
            (
                escape(network.name)
                + (f"<small>cosine to int8 {network.cosine:.4f}</small>" if network.cosine else ""),
                rate(network.accuracy, narrow=True),
                f"{100 * network.equal_error_rate:.2f} %",
                *points,
                f"{network.bytes / 1e6:.2f} MB" if network.bytes else NOTHING,
                f"{network.embedding_ms:.1f} ms" if network.embedding_ms else NOTHING,
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
    return Section(
        "compared",
        "Beside other encoders",
        how(
            "The same photographs, the same detections, the same comparison: only the encoder changes. "
            "Times are processor "
            "time of one core of one machine; trust their ratios."
        )
        + (gallery((drawn, "At the rarest rate all were measured at", "Intervals: 95 %.")) if drawn else "")
        + table(head, rows, is_html=True),
    )


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
        pictures = " ".join(_picture(faces.photos[name]) for name in (pair.a, pair.b) if name in faces.photos)
    score = "no face found" if pair.score <= -1.0 else f"{pair.score:.3f}"
    return (
        f'<li>{pictures}<div><b style="color:var(--{colour})">{score}</b><br>{escape(pair.a)}<br>'
        f"{escape(pair.b)}</div></li>"
    )


def _picture(photo: Photo) -> str:
    image = decode(photo.read(), photo.name)
    height, width = image.shape[:2]
    side = round(0.56 * min(height, width))  # the middle: where a face collection has its faces
    top, left = (height - side) // 2, (width - side) // 2
    small = cv2.resize(
        image[top : top + side, left : left + side, ::-1], (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA
    )
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
            "Running mean over augmented faces. Losses of different objectives are not comparable; the "
            "figures beside are.",
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
            figures.training(chosen, "rate", "learning rate", validated=False),
            "Learning rate",
            "As scheduled.",
        ),
    ]
    rows = []
    for run in chosen:
        last = run.validations[-1] if run.validations else {}
        step = run.steps[-1] if run.steps else {}
        rows.append(
            (
                run.name,
                f"{step.get('epoch', 0):.1f}" if step else NOTHING,
                f"{step.get('seconds', 0) / 60:.0f} min" if step else NOTHING,
                f"{run.start.get('train_faces', 0):,}",
                *(
                    f"{100 * last[key]:.2f} %" if isinstance(last.get(key), float) else NOTHING
                    for key in ("tar@0.01", "tar@0.001", "tar@0.0001")
                ),
                f"{run.starts - 1}",
            )
        )
    head = ("run", "epochs", "time", "faces", "TAR at 1e-2", "1e-3", "1e-4", "resumed")
    return Section(
        "training",
        "Training",
        how(
            "Each line is a run. What counts is the last value on people that were held out, not the loss "
            "on those that were not."
        )
        + gallery(*[piece for piece in drawn if piece[0]])
        + table(head, rows),
    )


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
    macs = macs or next((int(run.start["macs"]) for run in inputs.runs if "macs" in run.start), 0)
    if macs:
        rows.append(("arithmetic", f"{macs / 1e6:.1f} M multiply-accumulates a run"))
    parameters = next((run.start["parameters"] for run in inputs.runs if "parameters" in run.start), None)
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
    if found:
        e = found.encoder
        rows.append(("one run", f"{e.encoder_ms:.2f} ms of one core (median of 100)"))
        rows.append(("one embedding", f"{e.encoder_ms * e.views:.2f} ms"))
    if not rows:
        return Section(
            "cost", "What it costs to run", missing("janus-export compile, then janus-export evaluate")
        )
    return Section("cost", "What it costs to run", table(("", ""), rows))


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
    html = "<dl>" + "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in rows) + "</dl>"
    if not rows:
        html = missing("janus-export compile, then give OUT to janus-export report")
    for note in inputs.evaluation.notes if inputs.evaluation else []:
        html += f'<p class="warn">Asked for and not measured: {escape(note)}</p>'
    return Section("provenance", "Where it came from", html)
