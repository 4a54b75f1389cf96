"""Whoever is no owner learns nothing of duress: not who could call for help, nor that somebody did."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from janusd.control import Access, Peer, Role, discreet
from janusd.door import Entry, Person
from support.fake_door import ENTRIES, FakeDoor
from support.serving import Caller, serving

ANNA = Person("Anna Berg", "2026-11-21T07:02:11+00:00", 5, "", second="code", duress="code")
CALLED = [
    *ENTRIES[:2],
    replace(ENTRIES[2], kind="duress", note="score 0.7"),
    Entry(4, "2026-11-21T09:31:05+00:00", "rules", "", "Anna Berg", "role guest; second code; duress code"),
]
AS_ALWAYS = [
    *ENTRIES[:2],
    replace(ENTRIES[2], note="score 0.7"),
    Entry(4, "2026-11-21T09:31:05+00:00", "rules", "", "Anna Berg", "role guest; second code"),
]


class One(Access):
    """Everybody is that, until it is changed."""

    role = Role.OPERATOR

    def roles(self, peer: Peer) -> frozenset[Role]:
        return frozenset({self.role})


@contextmanager
def asking(folder: Path, door: FakeDoor) -> Iterator[tuple[Caller, One]]:
    access = type("Mine", (One,), {})()
    with serving(folder / "control", door, access=access), Caller(folder / "control") as caller:
        yield caller, access


def test_an_operator_sees_log_people_and_rules_as_if_nobody_could_call(tmp_path: Path) -> None:
    called, calm = FakeDoor([ANNA]), FakeDoor([replace(ANNA, duress="none")])
    called.entries, calm.entries = list(CALLED), list(AS_ALWAYS)
    answers = []
    for number, door in enumerate((called, calm)):
        (tmp_path / str(number)).mkdir()
        with asking(tmp_path / str(number), door) as (caller, _):
            answers.append(
                [
                    caller.call("GetLog"),
                    caller.call("GetLog", limit=2),
                    caller.call("ListPeople"),
                    caller.call("Explain", name="Anna Berg"),
                    caller.call("Suspend", name="Anna Berg"),
                    caller.call("GetStatus"),
                ]
            )
    assert answers[0] == answers[1]
    assert "duress" not in str(answers[0]).replace("'duress': 'none'", "")


def test_an_owner_sees_it_until_they_are_none_any_more(tmp_path: Path) -> None:
    door = FakeDoor([ANNA])
    door.entries = list(CALLED)
    with asking(tmp_path, door) as (caller, access):
        type(access).role = Role.OWNER
        entries = caller.call("GetLog")["parameters"]["entries"]
        assert [one["kind"] for one in entries] == ["started", "enrolled", "duress", "rules"]
        assert entries[3]["note"].endswith("duress code")
        assert caller.call("ListPeople")["parameters"]["people"][0]["duress"] == "code"
        type(access).role = Role.OPERATOR
        assert caller.call("ListPeople")["parameters"]["people"][0]["duress"] == "none"
        assert caller.call("GetLog")["parameters"]["entries"][2]["kind"] == "decision"


def test_roles_below_owner_are_not_told() -> None:
    access = Access(owner_uids=frozenset({1}), daemon_uid=990, named={2: Role.OPERATOR, 3: Role.RESIDENT})
    assert [access.shows_duress(Peer(1, uid, frozenset())) for uid in (0, 990, 1, 2, 3, 4)] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@given(st.lists(st.sampled_from(CALLED)))
def test_every_entry_stays_in_its_place(entries: list[Entry]) -> None:
    shown = discreet.entries(entries)
    assert [one.number for one in shown] == [one.number for one in entries]
    assert all("duress" not in (one.kind, one.note[-11:-5]) for one in shown)
