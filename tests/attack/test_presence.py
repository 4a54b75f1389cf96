"""Attack detection at the door: what each layer refuses, what is bound to whom, what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from janusd.config import insecure, parse
from janusd.core import attack, parallax, policy
from janusd.core.attack import Asks, Layer, Level
from janusd.core.challenge import Turn
from janusd.core.gallery import Gallery
from janusd.core.manifest import AttackNet, TensorSpec
from janusd.core.parallax import Bounds, Path, Relief, Sight
from janusd.core.policy import Policy, State
from janusd.core.reason import Reason
from janusd.core.types import Box, Evidence, Face, Frame, Image, Presentation, Quality
from janusd.errors import ConfigError
from janusd.pipeline import Pipeline, Probe
from janusd.service import presence
from janusd.service.presence import Presence, Settings
from janusd_hw.fakes import SPEC, PaintedDetector, PaintedEncoder, paint

HEAD = np.array([[-31.5, -32, 28], [31.5, -32, 28], [0, 0, 0], [-25, 30, 22], [25, 30, 22]], float)
ALICE = np.eye(8, dtype=np.float32)[0]
BOB = np.eye(8, dtype=np.float32)[1]
GALLERY = Gallery.of_embeddings({"alice": [ALICE]})
FPS = 15.0


def picture(number: int) -> Image:
    return np.random.default_rng(number).integers(0, 255, (60, 80, 3), dtype=np.uint8)


class Door:
    """Presence and policy over faces whose landmarks are projected, not detected."""

    def __init__(self, **rules: object) -> None:
        self.presence = Presence(Settings(alike=0.4, **rules.pop("settings", {})))  # type: ignore[arg-type]
        self.rules = Policy(threshold=0.9, **rules)  # type: ignore[arg-type]
        self.state = State()
        self.number = 0
        self.reasons: list[Reason] = []
        self.shown: list[Presentation | None] = []

    def see(
        self, yaw_deg: float, depth: float = 1.0, who=ALICE, image: Image | None = None, **more: float
    ) -> Reason:
        self.number += 1
        yaw = np.radians(yaw_deg)
        turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        at = (HEAD * (1, 1, depth)) @ turn.T + (0, 0, 550)
        noise = np.random.default_rng(self.number).normal(0, 0.5, (5, 2))
        landmarks = (602 * at[:, :2] / at[:, 2:] + (40, 30) + noise).astype(np.float32)
        face = Face(Box(10, 10, 50, 45), landmarks, 1.0)
        quality = Quality(60, yaw_deg, 0, 0, 120, 1, None)
        frame = Frame(picture(self.number) if image is None else image, self.number / FPS, self.number)
        probe = Probe(face, quality, who, **more)  # type: ignore[arg-type]
        score = float(who @ ALICE)
        evidence = Evidence(frame.captured_s, best=policy.Candidate("alice", score))
        evidence = self.presence.look(frame, probe, evidence)
        self.shown.append(evidence.presentation)
        self.state, decision = policy.decide(self.rules, GALLERY, self.state, evidence, None)
        self.reasons.append(decision.reason)
        if decision.reason is Reason.CHALLENGE:
            self.presence.challenge((Turn.LEFT, Turn.CENTRE, Turn.RIGHT), frame.captured_s)
        return decision.reason

    def turn(self, *stops: float, **how: object) -> None:
        at = 0.0
        for stop in stops:
            for yaw in (*np.linspace(at, stop, 7), *[stop] * 5):
                self.see(float(yaw), **how)  # type: ignore[arg-type]
            at = stop


def test_at_the_level_passive_a_resident_needs_no_more_than_before() -> None:
    door = Door(level=Level.PASSIVE)
    assert [door.see(0.0) for _ in range(3)][-1] is Reason.MATCHED


def test_at_the_level_live_a_resident_is_asked_to_turn_and_then_let_in() -> None:
    door = Door(level=Level.LIVE)
    for _ in range(12):
        assert door.see(0.0) is Reason.SHOW_LIFE
    door.turn(14, -14)
    assert Reason.MATCHED in door.reasons
    assert door.state.limits.tally.spent == 0


def test_at_the_level_live_no_sheet_is_let_in_and_waiting_costs_nothing() -> None:
    door = Door(level=Level.LIVE)
    door.turn(20, -20, 20, -20, depth=0.0)
    assert Reason.MATCHED not in door.reasons
    assert door.state.limits.tally.spent == 0


def test_life_shown_by_one_face_does_not_speak_for_the_next() -> None:
    door = Door(level=Level.LIVE)
    door.turn(14, -14, who=BOB)
    assert door.shown[-1] is not None
    assert door.shown[-1].is_live
    assert door.see(0.0, who=ALICE) is Reason.SHOW_LIFE
    assert door.shown[-1] is not None
    assert door.shown[-1].track == 2


def test_who_goes_on_turning_stays_alive_although_views_are_compared_now_and_then_only() -> None:
    door = Door(level=Level.LIVE)
    door.turn(14, -14)
    first = len(door.shown)
    door.turn(*[14, -14] * 8)
    assert door.number / FPS > 2 * door.presence._settings.again_s
    assert all(shown is not None and shown.is_live for shown in door.shown[first:])


def test_one_picture_looped_is_refused_at_every_level_but_off() -> None:
    door, still = Door(level=Level.PASSIVE), picture(0)
    reasons = [door.see(0.0, image=still) for _ in range(30)]
    assert Reason.MATCHED not in reasons
    assert reasons[1] is Reason.NO_NEWS
    assert reasons[-1] is Reason.FROZEN


def test_a_face_that_is_found_out_is_compared_with_nobody_and_costs_a_try() -> None:
    door = Door(level=Level.PASSIVE)
    reasons = [door.see(0.0, genuine=0.1) for _ in range(8)]
    assert set(reasons) == {Reason.NOT_GENUINE}
    assert door.state.limits.tally.spent == 1


def test_the_networks_word_is_a_mean_over_frames_of_one_track() -> None:
    door = Door(level=Level.PASSIVE)
    for value in (0.9, 0.9, 0.2):
        door.see(0.0, genuine=value)
    assert door.shown[-1] is not None
    assert door.shown[-1].reason is None


def test_a_picture_that_was_found_out_does_not_get_in_by_some_lucky_frames_later() -> None:
    door = Door(level=Level.PASSIVE)
    for value in [0.2] * 15 + [0.9] * 5:
        door.see(0.0, genuine=value)
    assert [shown.reason for shown in door.shown[-5:] if shown] == [Reason.NOT_GENUINE] * 5


def test_a_face_outlives_the_frames_in_which_it_came_nearer() -> None:
    door = Door(level=Level.PASSIVE)
    for value in [0.2] * 10 + [0.9] * 25:
        door.see(0.0, genuine=value)
    reasons = [shown.reason for shown in door.shown if shown]
    assert len(reasons) == 35
    assert reasons.index(None) == 17  # the mean over all of them has become 0.51
    assert set(reasons[17:]) == {None}


def test_without_a_network_the_passive_layer_says_nothing() -> None:
    assert attack.from_passive(None, 0.5) == Layer("passive")


def test_a_pair_refuses_a_face_that_is_not_there_in_near_infrared_or_is_anothers() -> None:
    for nir_score, opens in ((None, False), (0.1, False), (0.8, True)):
        door = Door(level=Level.PASSIVE, settings={"nir": True})
        reasons = [door.see(0.0, nir_score=nir_score) for _ in range(4)]  # type: ignore[arg-type]
        assert (Reason.MATCHED in reasons) is opens
        assert opens or set(reasons) == {Reason.NOT_IN_NIR}


def test_life_takes_three_looks_that_find_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    says = iter([Relief.STANDS_OUT, Relief.UNSEEN, Relief.STANDS_OUT, Relief.BROKEN, Relief.STANDS_OUT])
    monkeypatch.setattr(parallax, "assess", lambda sights, *, looks: Path(next(says), 0.2, 0.01))
    door = Door(level=Level.LIVE)
    for _ in range(5):
        door.see(0.0)
    assert [one is not None and one.is_live for one in door.shown] == [False] * 4 + [True]


def test_looks_too_far_apart_are_not_of_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    stands_out = Path(Relief.STANDS_OUT, 0.2, 0.01)
    monkeypatch.setattr(parallax, "assess", lambda sights, *, looks: stands_out)
    monkeypatch.setattr(presence, "_MEMORY_S", 1.5 / FPS)
    door = Door(level=Level.LIVE)
    for _ in range(5):
        door.see(0.0)
    assert not any(one is not None and one.is_live for one in door.shown)


def test_a_challenge_is_passed_with_one_look_that_found_a_head_and_failed_with_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assess = parallax.assess
    for found in (0, 1):
        left = iter([Relief.STANDS_OUT] * found)

        def looked(
            sights: tuple[Sight, ...], bounds: Bounds | None = None, *, looks: bool = True,
            left: Iterator[Relief] = left,
        ) -> Path:  # fmt: skip
            if bounds is not None or len(sights) < 20:  # the challenge's own look, or nothing shown yet
                return assess(sights, bounds, looks=bounds is not None)
            return Path(next(left, Relief.UNSEEN), 0.2, 0.01)

        monkeypatch.setattr(parallax, "assess", looked)
        door = Door(level=Level.PASSIVE, challenge=Asks.ALWAYS)
        door.see(0.0)
        door.turn(26, 0, -26)
        challenged = [one is not None and one.is_challenged for one in door.shown]
        assert any(challenged) == bool(found)


def test_a_challenge_always_is_asked_of_everybody_and_answered_by_turning() -> None:
    door = Door(level=Level.PASSIVE, challenge=Asks.ALWAYS)
    assert door.see(0.0) is Reason.CHALLENGE
    assert door.presence.asks is Turn.LEFT
    door.turn(26, 0, -26, 0)
    assert Reason.MATCHED in door.reasons


def test_a_challenge_not_answered_has_failed_and_costs_a_try() -> None:
    door = Door(level=Level.PASSIVE, challenge=Asks.ALWAYS)
    for _ in range(80):
        door.see(0.0)
    assert Reason.CHALLENGE_FAILED in door.reasons
    assert door.state.limits.tally.spent == 1
    assert Reason.MATCHED not in door.reasons


def test_a_face_exchanged_during_a_challenge_has_failed_it() -> None:
    door = Door(level=Level.PASSIVE, challenge=Asks.ALWAYS)
    door.turn(26, 0, who=BOB)
    assert door.see(0.0, who=ALICE) is Reason.CHALLENGE_FAILED


def test_a_failed_challenge_rests_though_faces_are_exchanged_again_or_the_picture_stands_still() -> None:
    for between in ([{"who": BOB}], [{"image": picture(0)}] * 9):
        door = Door(level=Level.PASSIVE, challenge=Asks.ALWAYS)
        door.turn(26, 0)
        for how in between:
            door.see(0.0, **how)  # type: ignore[arg-type]
        reasons = [door.see(0.0) for _ in range(6)]
        assert (Reason.CHALLENGE_FAILED in reasons, Reason.CHALLENGE in reasons) == (True, False)
        assert door.state.limits.tally.spent == 1
        assert Reason.CHALLENGE in {door.see(0.0) for _ in range(int(4 * FPS))}  # and is asked again then


def test_every_pose_of_a_challenge_must_match() -> None:
    shown = Presentation(1, is_challenged=True, poses=(ALICE, BOB, ALICE))
    evidence = Evidence(0.0, best=policy.Candidate("alice", 1.0), presentation=shown)
    rules, state = Policy(threshold=0.9, challenge=Asks.ALWAYS, level=Level.PASSIVE), State()
    for number in range(5):
        state, decision = policy.decide(
            rules, GALLERY, state, replace(evidence, captured_s=number / 10), None
        )
    assert decision.reason is Reason.UNKNOWN


def test_doubt_asks_for_a_challenge_whoever_comes_next() -> None:
    door, still = Door(level=Level.PASSIVE, challenge=Asks.DOUBT), picture(0)
    for _ in range(12):
        door.see(0.0, image=still)
    assert [door.see(0.0) for _ in range(6)][-1] is Reason.CHALLENGE


def test_at_the_level_live_doubt_is_also_that_nothing_was_shown_for_long() -> None:
    door = Door(level=Level.LIVE, challenge=Asks.DOUBT)
    reasons = [door.see(0.0) for _ in range(40)]
    assert reasons[0] is Reason.SHOW_LIFE
    assert reasons[-1] is Reason.CHALLENGE


def test_the_worst_word_counts_and_what_says_nothing_does_not() -> None:
    silent, good, doubtful = Layer("a"), Layer("b", 0.9), Layer("c", 0.3)
    bad = Layer("d", 0.1, Reason.FLAT)
    assert attack.fuse([silent, good]) == good
    assert attack.fuse([silent, good, doubtful]) == doubtful
    assert attack.fuse([silent, good, doubtful, bad]) == bad


def test_a_face_cut_off_by_the_border_is_refused_before_any_network() -> None:
    class AtTheBorder(PaintedDetector):
        def detect(self, image: Image) -> tuple[Face, ...]:
            (face,) = super().detect(image)
            return (replace(face, box_px=Box(-30, 20, 120, 120)),)

    line = Pipeline(AtTheBorder(), PaintedEncoder(), SPEC)
    assert line.probe(paint("a")).reason is Reason.NO_CONTEXT


class Says:
    """A network that gives two logits."""

    accelerator = "painted"

    def __init__(self, attack_: int, genuine: int) -> None:
        self.logits = np.array([[attack_, genuine]], np.int8)
        self.saw: tuple[int, ...] = ()

    def run(self, tensor):
        self.saw = tensor.shape
        return self.logits


@pytest.mark.parametrize(("logits", "is_genuine"), [((-50, 50), True), ((50, -50), False)])
def test_a_network_of_the_manifest_sees_a_wide_crop_and_its_word_counts(logits, is_genuine) -> None:
    net = AttackNet(
        "painted", "painted", "00" * 32, "0", TensorSpec((1, 80, 80, 3), 1 / 255, -128),
        TensorSpec((1, 2), 0.1, 0), context=2.7, threshold=0.5,
    )  # fmt: skip
    network = Says(*logits)
    line = Pipeline(PaintedDetector(), PaintedEncoder(), SPEC, attack_net=(network, net))
    _, probe = line.evidence(Frame(paint("a"), 0.0, 0), Gallery.of([]))
    assert network.saw == (1, 80, 80, 3)
    assert probe.genuine is not None
    assert (probe.genuine > 0.9) is is_genuine
    assert "passive" in probe.stage_ms


def test_a_paired_frame_is_searched_in_near_infrared_too() -> None:
    line = Pipeline(PaintedDetector(), PaintedEncoder(), SPEC)
    same, other, dark = paint("a", seed=1), paint("b", seed=2), np.zeros((240, 320, 3), np.uint8)
    scores = [
        line.evidence(Frame(paint("a"), 0.0, 0, nir=nir), Gallery.of([]))[1].nir_score
        for nir in (same, other, dark)
    ]
    assert scores[0] is not None
    assert scores[1] is not None
    assert scores[0] > 0.8 > scores[1]
    assert scores[2] is None


def test_attack_detection_off_needs_a_word_that_is_logged() -> None:
    with pytest.raises(ConfigError, match="lets any photograph in"):
        parse('[attack]\nlevel = "off"\n')
    config = parse('[attack]\nlevel = "off"\ninsecure = true\n')
    assert insecure(config) == ["[attack] insecure = true"]
    assert parse("").attack.level == "passive"
