import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import cv2
import msgspec
import numpy as np
import pytest

from janusd.core.manifest import Calibration, Encoder, Manifest, Tail, TensorSpec, Threshold
from janusd_export.compiling import layers
from janusd_export.compiling.release import write_manifest
from janusd_export.errors import ExportError
from janusd_export.evaluation import comparison, curves, findings, identify
from janusd_export.evaluation.curves import Ranked
from janusd_export.metrics import rate
from janusd_export.reporting import card, figures, markup, material, objectives, particulars, plots, report
from janusd_export.training import runs

TITLES = (
    "Scores", "Errors at every threshold", "What the thresholds promise", "Confusion at the chosen threshold",
    "Who is it?", "Bad light, far away, turned away", "Beside other encoders", "Other ways to compare",
    "Does it serve everybody alike?", "People it never saw", "The worst pairs", "Training",
    "Objectives compared", "What int8 costs, layer by layer", "What it costs to run", "Where it came from",
)  # fmt: skip
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting, and keeps headings, text and everything that could be fetched."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.headings, self.texts = [], [], [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named[key] for key in ("src", "href", "xlink:href", "action", "data") if key in named]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, text):
        self.texts.append(text)
        if self.open and self.open[-1] == "h2":
            self.headings.append(text)


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "arcface"
    folder.mkdir()
    lines = [{"event": "start", "step": 0, "train_faces": 900, "macs": 1_000_000, "parameters": 1234}]
    for step in range(50, 500, 50):
        lines.append(
            {
                "event": "step",
                "step": step,
                "epoch": step / 100,
                "seconds": step,
                "rate": 0.001,
                "loss": 9 / step,
            }
        )
        lines.append(
            {
                "event": "validate",
                "step": step,
                "cosine": step / 600,
                "cosine_learnt": step / 500,
                "tar@0.01": 0.8,
                "tar@0.001": 0.7,
            }
        )
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def models_dir(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "tiny.tflite").write_bytes(b"not run here")
    calibration = Calibration(
        "made up & <odd>",
        1000,
        10,
        tuple(Threshold(r, t, t - 0.02, t + 0.02) for r, t in ((0.1, 0.2), (0.01, 0.3), (1e-3, 0.4))),
        Tail(0.25, 0.05, -0.1, 0.02),
        {},
        (Threshold(1e-6, 0.6, 0.5, 0.7),),
    )
    spec = TensorSpec((1, 112, 112, 3), 0.1, 0)
    encoder = Encoder(
        "tiny", "tiny.tflite", hashlib.sha256(b"not run here").hexdigest(), "3", spec,
        TensorSpec((1, 8), 0.1, 0), "arcface-112", "none", calibration, training={"data": ["5 faces"]},
    )  # fmt: skip
    write_manifest(folder, Manifest(1, encoder))
    layers.write(
        folder, [layers.Layer("stem", "CONV_2D", 31.5, 900), layers.Layer("flat", "RESHAPE", None, 0)]
    )
    check = findings.TailCheck(
        3, [0.5, 0.4, 0.3], [0.52, 0.4, 0.29], [0.45, 0.38, 0.28], [0.6, 0.42, 0.31],
        [findings.TailChoice(1e-3, -0.1, 0.6)],
    )  # fmt: skip
    findings.write(folder / findings.TAIL_FILE, check)
    return folder


@pytest.fixture
def found(models_dir):
    """An evaluation with every section, of made-up scores."""
    rng = np.random.default_rng(0)
    ranked = Ranked.of(
        rng.normal(0.6, 0.12, 4000).astype(np.float32), rng.normal(0.0, 0.12, 40_000).astype(np.float32)
    )
    points, curve, hills = curves.operating_points(ranked), curves.tradeoff(ranked), curves.histogram(ranked)
    some = rate(3, 40)
    kept = findings.Promise(1e-3, 0.4, False, rate(40, 40_000))
    cosine = findings.Matcher("cosine", "as the door", some, some, rate(1, 45))
    groups = [
        findings.Subgroup("hat", "yes", 2, 4, some, rate(0, 30)),
        findings.Subgroup("hat", "no", 1, 1, rate(0, 0), rate(0, 0)),
    ]
    worst = [
        findings.WorstPair("ann_1", "ann_2", True, 0.01),
        findings.WorstPair("ann_1", "ben<1>", False, 0.7),
    ]
    door = findings.DoorThreshold(0.01, 1e-4, 0.5, True, some, rate(0, 90), 1)
    robust = [findings.RobustPoint(x, f"{x:g}", some, rate(0, 1560), rate(1, 40)) for x in (0.0, 0.5)]
    dusk = findings.Robustness("light", "light left", "it gets dark", robust)
    manifest = json.loads((models_dir / "manifest.json").read_text())
    return findings.Evaluation(
        format=findings.FORMAT,
        encoder=findings.Encoder("tiny", "3", manifest["encoder"]["sha256"], 12, 1.5, 2, 8, "none"),
        collection="made: 8 photographs, 4 listed pairs",
        pairs=findings.Pairs(
            4000, 40_000, 8, 1, 1, rate(39, 40), [1.0, 0.9], 0.02, points, curve, hills, worst,
            findings.Confusion(1e-3, 0.4, False, 3900, 100, 40, 39_960),
        ),
        cross=findings.Cross(4, 8, 4000, 40_000, 0.02, points, curve, hills, worst, [kept]),
        doors=[findings.Door(10, 2, 40, 90, rate(39, 40), [door], [0.5, 0.1, 0.0], [0.1, 0.2, 0.3])],
        matchers=findings.Matchers(5, 3, 40, 90, [cosine], rate(38, 40), "no sklearn"),
        subgroups=findings.Subgroups(0.4, 1e-3, groups, 3),
        sturdiness=findings.Sturdiness(40, 0.4, 1e-3, [dusk]),
        networks=[
            findings.Network("int8", "as released", rate(39, 40), 0.02, points, points, 12, 3.0),
            findings.Network("float", "before", rate(39, 40), 0.02, points, points, None, None, 0.999),
        ],
        map=findings.Map("t-SNE", ["ann", "ben"], [0.1, -0.1, 1.0], [0.0, 0.5, -1.0], [0, 0, 1], rate(2, 3)),
        notes=["dlib is not installed"],
    )  # fmt: skip


def outcome(name, value, *, knows_people=False, low=None):
    """One objective's, with `value` of a hundred friends matched."""
    matched = rate(value, 100)
    ends = (low if low is not None else matched.low, matched.high)
    points = [findings.OperatingPoint(r, 0.4, matched, rate(1, 1000), ends) for r in comparison.RATES]
    return comparison.Outcome(
        name, f"what {name} asks", knows_people, 900, 450, 5400, 61.5, points, 0.0625, 0.4
    )


@pytest.fixture
def compared_dir(tmp_path, run_dir):
    """Eight objectives, seven of them through: more than there are colours."""
    folder = tmp_path / "compared"
    names = ["contrastive", "triplet", "softmax", "arcface", "from-mbf", "from-retail", "from-all"]
    outcomes = [outcome(name, 10 * n + 5, knows_people=n < 4) for n, name in enumerate(names)]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "log.jsonl").write_text((run_dir / "log.jsonl").read_text())
    comparison.write(
        folder,
        comparison.Comparison(
            comparison.FORMAT, "base <recipe>", "450 steps", {}, 900, 60, 12, 120, 1650,
            [*names, "combination"], outcomes,
        ),
    )  # fmt: skip
    return folder


def test_a_page_of_everything_is_whole_and_fetches_nothing(
    tmp_path, run_dir, models_dir, compared_dir, found
):
    findings.write(models_dir / material.EVALUATION, found)
    given = material.gather([run_dir, models_dir, compared_dir])
    path = report.write(tmp_path / "deep" / "report.html", given)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.headings == [*TITLES[:5], TITLES[5], *TITLES[6:]]
    assert len(set(page.ids)) == len(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == set()
    assert {link[1:] for link in page.links} == set(page.ids)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link|<iframe", text)
    assert "Made by" not in text  # nothing is missing
    assert text.count("How to read this.") >= 12
    said = " ".join(page.texts)
    assert "made up & <odd>" in said  # escaped once, not twice and not less
    assert "ben<1>" in said
    assert "not measured: dlib is not installed" in said
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan", "", text.lower())
    assert not list(path.parent.glob("*.new"))


def test_every_figure_is_named_and_stays_within_its_frame(run_dir, models_dir, compared_dir, found):
    findings.write(models_dir / material.EVALUATION, found)
    text = report.page(material.gather([models_dir, run_dir, compared_dir]))
    drawn = re.findall(
        r"<svg viewBox=\"0 0 ([\d.]+) ([\d.]+)\" role=\"img\" aria-label=\"([^\"]+)\">(.*?)</svg>", text
    )
    assert len(drawn) == text.count("<svg")
    assert len(drawn) >= 15
    for width, height, name, inside in drawn:
        assert name
        for path in re.findall(r'points="([^"]+)"', inside):
            for x, y in (map(float, pair.split(",")) for pair in path.split()):
                assert 0 <= x <= float(width), name
                assert 0 <= y <= float(height), name


def test_a_section_without_input_says_which_command_makes_it(run_dir):
    text = report.page(material.gather([run_dir]))
    page = Page(text)
    assert page.headings == list(TITLES)
    for verb in ("evaluate", "calibrate", "compile"):
        assert f"janus-export {verb}" in text
    assert "Not evaluated yet" in text
    training = text[text.index('id="training"') : text.index('id="objectives"')]
    assert "Made by" not in training


def test_an_evaluation_alone_is_a_report_without_training(tmp_path, found):
    findings.write(tmp_path / "e.json", found)
    text = report.page(material.gather([tmp_path / "e.json"]))
    training = text[text.index('id="training"') : text.index('id="objectives"')]
    assert "janus-export train" in training
    assert "97.50 %" in text  # the accuracy, 39 of 40


def compared_section(*places):
    text = report.page(material.gather(places))
    return text[text.index('id="objectives"') : text.index('id="layers"')]


def test_a_comparison_is_shown_with_its_figures_and_with_what_they_do_not_say(compared_dir):
    drawn = compared_section(compared_dir)
    assert "base &lt;recipe&gt;, 450 steps each" in drawn
    assert "15.00 %<i>[8.65, 23.53]</i>" in drawn  # triplet: Clopper and Pearson of 15 in 100
    assert "<td>triplet<small>what triplet asks</small></td>" in drawn
    assert "<td>6.25 %</td><td>900 faces<small>labelled</small></td><td>5,400<small>450 steps" in drawn
    assert "<td>6.25 %</td><td>900 faces</td>" in drawn  # of those that listen to teachers
    assert "<b>not</b> what each would reach in the end" in drawn
    assert "Not through yet: combination." in drawn
    assert drawn.count("<svg") == 2


def test_lines_are_dashed_where_colours_begin_again(compared_dir):
    drawn = compared_section(compared_dir)
    assert drawn.count('class="line s1"') == 1
    assert drawn.count('class="line s1 dashed"') == 1
    assert drawn.count('class="line s2 dashed"') == 0


def test_a_comparison_alone_names_the_page_and_a_second_one_is_drawn_below(compared_dir, tmp_path):
    assert "<h1>base &lt;recipe&gt;: objectives</h1>" in report.page(material.gather([compared_dir]))
    assert compared_section(compared_dir, compared_dir).count("450 steps each") == 2


def test_a_comparison_whose_first_objective_is_not_through_says_so(compared_dir):
    found = comparison.read(compared_dir)
    comparison.write(compared_dir, msgspec.structs.replace(found, outcomes=[]))
    drawn = compared_section(compared_dir)
    assert "Not through yet: contrastive, triplet" in drawn
    assert "<svg" not in drawn
    assert objectives.draw_picture(compared_dir, comparison.read(compared_dir)) is None


def test_a_rate_that_too_few_strangers_show_is_a_dash_and_the_next_is_drawn(compared_dir):
    found = comparison.read(compared_dir)
    few = [
        msgspec.structs.replace(row, points=[row.points[0], findings.OperatingPoint(1e-3, note="too few")])
        for row in found.outcomes
    ]
    comparison.write(compared_dir, msgspec.structs.replace(found, outcomes=few))
    drawn = compared_section(compared_dir)
    assert "<td>\N{EN DASH}</td>" in drawn
    assert 'aria-label="objectives by TAR at FAR 1e-2"' in drawn


def test_a_comparisons_picture_is_a_file_of_its_own(compared_dir):
    path = objectives.draw_picture(compared_dir, comparison.read(compared_dir))
    drawn = ElementTree.fromstring(path.read_bytes())
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert ".s1 { --c: var(--s1); }" in "".join(drawn.itertext())


def test_runs_that_were_judged_once_have_no_curve_and_the_picture_shows_where_they_ended(compared_dir):
    assert "TAR at FAR 1e-3 of" in compared_section(compared_dir)
    for log in compared_dir.glob("*/log.jsonl"):
        lines = log.read_text().splitlines()
        (last,) = [line for line in lines if '"validate"' in line][-1:]
        log.write_text("\n".join([line for line in lines if '"validate"' not in line] + [last]) + "\n")
    assert "TAR at FAR 1e-3 of" not in compared_section(compared_dir)
    drawn = objectives.draw_picture(compared_dir, comparison.read(compared_dir))
    assert "objectives by TAR at FAR 1e-3" in drawn.read_text()


def test_a_comparison_of_another_version_or_shape_is_named(compared_dir):
    found = comparison.read(compared_dir)
    comparison.write(compared_dir, msgspec.structs.replace(found, format=0))
    with pytest.raises(ExportError, match=r"comparison\.json has format 0.*compare again"):
        material.gather([compared_dir])
    (compared_dir / "comparison.json").write_text('{"format": 1}')
    with pytest.raises(ExportError, match=r"is no comparison: .*recipe"):
        material.gather([compared_dir])
    comparison.write(compared_dir, found)
    (compared_dir / "triplet" / "log.jsonl").unlink()
    with pytest.raises(ExportError, match=r"cannot read .*triplet"):
        material.gather([compared_dir])


def test_two_evaluations_are_drawn_into_one_trade_off(tmp_path, found):
    other = msgspec.structs.replace(
        found, encoder=msgspec.structs.replace(found.encoder, name="rival", sha256="00"), cross=None
    )
    findings.write(tmp_path / "a.json", found)
    findings.write(tmp_path / "b.json", other)
    text = report.page(material.gather([tmp_path / "a.json", tmp_path / "b.json"]))
    drawn = text[text.index('id="tradeoff"') : text.index('id="promises"')]
    assert ">rival</text>" in drawn
    assert "the listed pairs" in drawn  # only one of them has all pairs


def test_what_one_evaluation_lacks_another_of_the_same_encoder_lends(tmp_path, models_dir, run_dir, found):
    small = msgspec.structs.replace(
        found, collection="street: 4 photographs, 2 listed pairs", cross=None, notes=["no sunshine"]
    )
    whole = msgspec.structs.replace(found, sturdiness=None, networks=found.networks[:1], matchers=None)
    for name, one in (("small", small), ("whole", whole)):
        findings.write(tmp_path / f"{name}.json", one)
    given = material.gather([models_dir, tmp_path / "small.json", tmp_path / "whole.json"])
    assert given.evaluation.collection == found.collection  # the larger one is the page's
    assert given.evaluation.sturdiness == found.sturdiness
    assert given.evaluation.networks == found.networks
    assert given.evaluation.notes == [*found.notes, "no sunshine"]
    assert (given.borrowed("networks"), given.borrowed("map")) == (small.collection, "")
    text = report.page(given)
    assert text.count("Measured on street: 4 photographs, 2 listed pairs.") == 3
    assert given.rivals == []  # one encoder, one line


def test_a_run_is_looked_at_after_5_epochs_after_30_and_at_its_end(tmp_path):
    folder = tmp_path / "long"
    folder.mkdir()
    lines = [{"event": "start", "step": 0, "train_faces": 900, "start_from": "old/checkpoint.pt 12ab"}]
    for step in range(100, 4100, 100):  # 100 steps an epoch
        terms = {"embedding": 1.0, "hints": 2.0} if step < 2000 else {"embedding": 0.9}
        part = {"step": step, "epoch": step / 100, "seconds": 60 * step / 100, "loss": 100 / step}
        lines.append({"event": "step", "rate": 0.001, "terms": terms, **part})
        lines.append({"event": "validate", "step": step, "tar@0.01": step / 5000})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = report.page(material.gather([folder]))
    training = text[text.index('id="training"') : text.index('id="objectives"')]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", training)][1:]
    assert [row[1] for row in rows] == ["5.0", "30.0", "40.0<small>the end</small>"]
    assert [row[2] for row in rows] == ["5 min", "30 min", "40 min"]
    assert [row[4] for row in rows] == ["0.200", "0.033", "0.025"]
    assert [row[5] for row in rows] == ["10.00 %", "60.00 %", "80.00 %"]
    assert rows[0][0] == "long<small>began with old/checkpoint.pt 12ab</small>"
    assert 'aria-label="terms of the loss of long"' in training
    assert training.count(">hints</text>") == training.count(">embedding</text>") == 1


@pytest.mark.parametrize(
    ("value", "said"), [(1e-4, "1e-4"), (0.1, "1e-1"), (1.37e-3, "1.37e-3"), (1.6e-5, "1.6e-5"), (0.0, "0")]
)
def test_rare_rates_are_written_as_powers(value, said):
    assert markup.rare(value) == said


def test_a_score_of_nothing_has_no_sign_and_a_rate_of_none_says_how_rare_it_may_be():
    assert (markup.score(-0.0002), markup.score(-0.02)) == ("0.000", "-0.020")
    assert markup.rate(rate(0, 1000), inline=True) == "0.000 % [0.000, 0.368] (0 of 1,000)"
    assert markup.rate(rate(0, 10**6), inline=True).startswith("0 [0, 3.7e-6] ")


def test_long_words_beside_an_axis_get_the_room_they_need():
    figure = plots.Figure("rates", plots.linear(0, 1, "x"), plots.linear(0, 0.00125, "learning rate"))
    assert "0.00025" in [text for _, text in figure.y.ticks]
    assert figure.left - 6 - 7 * 6.4 > 12 + 10  # to the right of the axis's name, which stands at 12


def test_things_that_cannot_be_ordered_are_rows_and_every_one_is_named(found):
    labels = ["nothing", "dark glasses", "cap", "scarf", "one side"]
    points = [findings.RobustPoint(n, x, rate(3, 40), rate(0, 9), rate(1, 40)) for n, x in enumerate(labels)]
    drawn = figures.robustness(findings.Robustness("occlusion", "cover", "it is covered", points), 0.3)
    assert all(f">{label}</text>" in drawn for label in labels)
    assert "polyline" not in drawn


def test_faces_are_shown_only_under_a_stated_licence(tmp_path, found):
    for name in ("ann_1", "ann_2"):
        (tmp_path / "photos" / "ann").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "photos" / "ann" / f"{name}.png"), np.full((60, 50, 3), 90, np.uint8))
    findings.write(tmp_path / "e.json", found)
    plain = report.page(material.gather([tmp_path / "e.json"]))
    assert "<img" not in plain
    faces = material.allow_faces("CC0, nobody is shown", tmp_path / "photos")
    shown = report.page(material.gather([tmp_path / "e.json"], faces))
    page = Page(shown)
    assert "CC0, nobody is shown" in shown
    assert sum(link.startswith("data:image/jpeg;base64,") for link in page.links) == 3  # ben's is not there
    with pytest.raises(ExportError, match="licence"):
        material.allow_faces("  ", tmp_path / "photos")


def test_a_place_that_is_nothing_of_ours_is_refused(tmp_path):
    with pytest.raises(ExportError, match="neither a run"):
        material.gather([tmp_path])
    (tmp_path / "e.json").write_text('{"format": 1}')
    with pytest.raises(ExportError, match="encoder"):
        material.gather([tmp_path / "e.json"])


def test_an_evaluation_comes_back_from_its_file_as_it_was(tmp_path, found):
    findings.write(tmp_path / "e.json", found)
    assert findings.read(tmp_path / "e.json") == found
    findings.write(tmp_path / "old.json", msgspec.structs.replace(found, format=0))
    with pytest.raises(ExportError, match="evaluate again"):
        findings.read(tmp_path / "old.json")


def test_a_run_that_was_killed_and_resumed_is_read_once(run_dir):
    path = run_dir / "log.jsonl"
    again = {"event": "step", "step": 400, "epoch": 4.0, "seconds": 1, "rate": 0.001, "loss": 0.5}
    with path.open("a") as log:
        log.write(
            json.dumps({"event": "start", "step": 400}) + "\n" + json.dumps(again) + "\n" + '{"event": "st'
        )
    run = runs.read(run_dir)
    assert run.starts == 2
    assert [entry["step"] for entry in run.steps] == list(range(50, 500, 50))
    assert dict(run.series("loss"))[4.0] == 0.5
    assert run.series("loss")[0][0] == pytest.approx(0.5)  # epochs
    assert run.series("nothing of that name") == []


def test_a_damaged_line_in_the_middle_of_a_log_is_named(run_dir):
    path = run_dir / "log.jsonl"
    lines = path.read_text().splitlines()
    lines[3] = lines[3][:9]
    path.write_text("\n".join(lines))
    with pytest.raises(ExportError, match=r"log\.jsonl, line 4"):
        runs.read(run_dir)


def test_axes_have_round_ticks_and_keep_to_their_ends():
    axis = plots.linear(0.0, 1.0, "score")
    assert [text for _, text in axis.ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert (axis(-3.0), axis(0.25), axis(7.0)) == (0.0, 0.25, 1.0)
    logarithmic = plots.rates(1e-4, 1.0, "FMR")
    assert logarithmic(1e-2) == pytest.approx(0.5)
    assert [text for _, text in logarithmic.ticks] == ["10⁻⁴", "0.1 %", "1 %", "10 %", "100 %"]
    assert plots.rates(0.01, 0.99, "FMR", "probit")(0.5) == pytest.approx(0.5)


def test_labels_of_lines_that_end_together_do_not_cover_each_other():
    figure = plots.Figure("ends", plots.linear(0, 1, "x"), plots.linear(0, 1, "y"), right=90)
    for number in range(5):
        figure.line([(0, 0), (1, 0.001 * number)], "s1", f"line {number}")
    heights = [float(y) for y in re.findall(r'class="label s1" x="[\d.]+" y="([\d.]+)"', figure.svg())]
    assert len(heights) == 5
    assert min(b - a for a, b in pairwise(heights)) >= 14
    assert max(heights) <= figure.height - 40


def test_the_style_sheet_is_beside_the_page_and_knows_night_and_paper():
    style = Path(report.__file__).with_name("report.css").read_text()
    for word in ("prefers-color-scheme: dark", "@media print", "max-width: 30rem"):
        assert word in style


def test_parameters_are_those_of_a_run_of_the_models_own_size(run_dir, models_dir):
    def cost() -> str:
        return particulars.draw_cost(material.gather([run_dir, models_dir])).html

    assert "1,234" not in cost()  # the run's million multiply-accumulates are not this model's 900
    log = run_dir / "log.jsonl"
    log.write_text(log.read_text().replace("1000000", "900"))
    assert "1,234" in cost()


@pytest.fixture
def searched(tmp_path, found):
    """What identify printed of the same encoder."""
    door = found.doors[0]
    told = identify.IdentifyReport(
        "tiny", found.encoder.sha256, "made, seed 0", 5, True, 10, [], 40, 90, 1, door.rank_1, door.thresholds
    )
    path = tmp_path / "identified.json"
    path.write_bytes(msgspec.json.encode(told))
    return path


def test_a_card_gets_its_figures_and_keeps_its_words(tmp_path, models_dir, found, searched):
    measured = tmp_path / "evaluation.json"
    findings.write(measured, found)
    path = models_dir / card.CARD
    path.write_text(f"# tiny\n\nOf use.\n\n{card.BEGIN}\nof before\n{card.END}\n\nBad at everything.\n")
    (models_dir / "model.sig").touch()
    assert card.write(models_dir, measured, [searched]) == path
    text = path.read_text()
    assert text.startswith("# tiny\n\nOf use.\n\n" + card.BEGIN)
    assert text.endswith(card.END + "\n\nBad at everything.\n")
    assert "of before" not in text
    assert not (models_dir / "model.sig").exists()  # it was over another card
    for line in (
        "| file | `tiny.tflite`, 12 bytes, SHA-256 `" + found.encoder.sha256[:16] + "...` |",
        "| weakest operator | 31.5 dB signal to noise against float, stem |",
        "| accuracy, 10 folds of our own (fixed seed) | 97.50 % [86.84, 99.94], 39 of 40 |",
        "| 0.001 | 0.4000 | 1.0e-03 [7.1e-04, 1.4e-03], 40 of 40,000 |",
        "| 10 of made, seed 0; 5, by the nearest | 0.01 | 0.5000 (extrapolated) "
        "| 7.50 % [1.57, 20.39], 3 of 40 | 0.00 % [0.00, 4.02], 0 of 90 |",
        "| light left: 0.5 | 3 | 1 |",
        "| 1e-06 (extrapolated) | 0.6000 | 0.5000 to 0.7000 |",
    ):
        assert line in text.splitlines()
    assert "| tiny, int8 (0.0 MB) | " in text
    again = card.write(models_dir, measured, [searched]).read_text()
    assert again == text


def test_figures_of_another_encoder_stay_out_of_a_card(tmp_path, models_dir, found, searched):
    measured = tmp_path / "evaluation.json"
    findings.write(measured, found)
    searched.write_text(searched.read_text().replace(found.encoder.sha256, "0" * 64))
    (models_dir / card.CARD).write_text(f"{card.BEGIN}\n{card.END}\n")
    with pytest.raises(ExportError, match=r"identified\.json was measured with another encoder than .*tiny"):
        card.write(models_dir, measured, [searched])
    searched.write_text("{}")
    with pytest.raises(ExportError, match=r"identified\.json is not what identify prints"):
        card.write(models_dir, measured, [searched])


@pytest.mark.parametrize(
    "text", [None, "# tiny\n", f"{card.END}\n{card.BEGIN}\n", 2 * f"{card.BEGIN}\n{card.END}\n"]
)
def test_a_card_without_a_place_for_figures_is_told_what_to_write(tmp_path, models_dir, found, text):
    measured = tmp_path / "evaluation.json"
    findings.write(measured, found)
    if text is not None:
        (models_dir / card.CARD).write_text(text)
    with pytest.raises(ExportError, match="these two lines"):
        card.write(models_dir, measured, [])
    if text is not None:
        assert (models_dir / card.CARD).read_text() == text
