"""Processes that train together: what one of them has to say reaches the user as a sentence."""

import errno
import os
import re
import signal
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from janusd_export.errors import ExportError
from janusd_export.training.crew import together
from janusd_export.training.objectives import Asked, Objective
from janusd_export.training.recipe import Losses
from janusd_export.training.run_log import RunLog

# These run in processes of their own, which find them by their names.


def complain(rank: int, size: int, meeting: str) -> None:
    if rank == 1:
        raise ExportError(f"{rank + 1} of {size} found no faces: run janus-export import")
    signal.pause()  # as one that waits for the other


def be_stopped(rank: int, size: int, meeting: str) -> None:
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()


def be_killed(rank: int, size: int, meeting: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (complain, "2 of 2 found no faces: run janus-export import"),
        (be_stopped, "stopped before the first step: nothing is lost, start the run again"),
        (be_killed, "a training process ended .*SIG(KILL|TERM).*schedule.batch"),
    ],
)
def test_what_ends_one_of_several_processes_is_one_sentence(work, said, tmp_path):
    with pytest.raises(ExportError, match=said) as raised:
        together(work, 2, tmp_path)
    assert "Traceback" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_in_which_nobody_has_a_name_teaches_nothing_and_ends_nothing():
    pytest.importorskip("pytorch_metric_learning")
    objective = Objective(Losses(embedding=0.0, arcface=1.0), embedding=8, people=3)
    y = torch.nn.functional.normalize(torch.randn(4, 8), dim=1).requires_grad_()
    asked = Asked(torch.zeros(4, 8), torch.full((4,), -1), torch.zeros(1, 8))
    loss, terms = objective(y, [], asked)
    loss.backward()
    assert (float(loss.detach()), terms) == (0.0, {"nobody": 0.0})
    assert y.grad is not None
    assert not y.grad.any()


def test_a_log_that_cannot_be_written_names_its_file_and_what_to_do(tmp_path, monkeypatch):
    say = RunLog(tmp_path)
    real = Path.open

    def full(path, *arguments, **named):
        if path.name == "log.jsonl":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", full)
    where = re.escape(str(tmp_path / "log.jsonl"))
    with pytest.raises(ExportError, match=rf"cannot write {where} \(No space left on device\): make room"):
        say(event="start", step=0)


def test_each_term_of_the_loss_is_a_curve_on_the_board(tmp_path, capsys):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    RunLog(tmp_path)(event="step", step=50, loss=1.5, terms={"embedding": 1.0, "hints": 0.5})
    drawn = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"step/loss", "step/terms/embedding", "step/terms/hints"} <= set(drawn.Tags()["scalars"])
    assert drawn.Scalars("step/terms/hints")[0].value == 0.5
