"""Accelerators: probing, choosing, the golden inputs, and falling back to the processor.

The accelerator is `dummy_delegate.c`, a TFLite delegate of our own that is compiled here and misbehaves as
told; libedgetpu and vendors' processors are not tested. CompiledModel is tried on the processor, and on GPU
and NPU as far as this machine has them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from janusd.core.types import Tensor
from janusd.errors import NetworkError
from janusd.ports import Network
from janusd_hw import accelerators
from janusd_hw.accelerators import FallbackNetwork, Option, Parts, Probed, Shelf, choose, open_network, probe
from janusd_hw.compiled import CompiledNetwork
from janusd_hw.litert import LiteRtNetwork

VECTORS = Path(__file__).parents[1] / "vectors"
SMALL = (VECTORS / "small-int8.tflite").read_bytes()
WORKS, NOT_THERE, REFUSES, DIFFERS, FAILS, KILLS = range(6)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The dummy delegate, once for each mode."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to make the dummy delegate with")
    folder = tmp_path_factory.mktemp("delegates")
    source = Path(__file__).with_name("dummy_delegate.c")
    made = [str(folder / f"mode{mode}.so") for mode in range(6)]
    for mode, library in enumerate(made):
        command = [compiler, "-shared", "-fPIC", "-O1", f"-DMODE={mode}", "-o", library, str(source)]
        subprocess.run(command, check=True)
    return made


@pytest.fixture(scope="module")
def cpu() -> LiteRtNetwork:
    return LiteRtNetwork(SMALL)


def parts(delegate: str = "", **more: object) -> Parts:
    return Parts(SMALL, "ab" * 32, delegate=delegate, **more)  # type: ignore[arg-type]  # fields of Parts


def an_input(network: LiteRtNetwork) -> Tensor:
    return accelerators.golden(network.input_shape)[2]


def test_a_delegate_that_works_is_used(libraries: list[str], cpu: LiteRtNetwork) -> None:
    said: list[str] = []
    network: Network = open_network(parts(libraries[WORKS]), "auto", 1, on_fault=said.append)
    assert network.accelerator.startswith("mode0.so (ai-edge-litert")
    assert np.array_equal(network.run(an_input(cpu)), cpu.run(an_input(cpu)))
    assert not said


@pytest.mark.parametrize(
    ("mode", "says"),
    [(NOT_THERE, "cannot load the accelerator library"), (REFUSES, "does not run this model"),
     (DIFFERS, "another result than the processor: cosine")],
)  # fmt: skip
def test_a_delegate_that_fails_at_its_start_is_replaced_aloud(
    libraries: list[str], cpu: LiteRtNetwork, tmp_path: Path, mode: int, says: str
) -> None:
    said: list[str] = []
    network = open_network(parts(libraries[mode]), "auto", 1, on_fault=said.append)
    assert len(said) == 1
    assert says in said[0]
    assert network.accelerator.startswith("cpu/xnnpack")
    assert "for want of delegate" in network.accelerator
    (finding,) = accelerators.findings(network, Shelf(tmp_path))
    assert (finding.verdict, says in finding.detail) == ("warn", True)
    assert np.array_equal(network.run(an_input(cpu)), cpu.run(an_input(cpu)))


def test_a_delegate_that_fails_while_it_runs_is_replaced_without_losing_that_frame(
    libraries: list[str], cpu: LiteRtNetwork
) -> None:
    said: list[str] = []
    network = open_network(parts(libraries[FAILS]), "auto", 1, on_fault=said.append)
    assert not network.fault  # four golden inputs were answered
    right = cpu.run(an_input(cpu))
    assert all(np.array_equal(network.run(an_input(cpu)), right) for _ in range(5))
    assert len(said) == 1
    assert "the processor takes over" in said[0]
    assert "stopped running the model" in network.accelerator


def test_the_processor_failing_too_is_told(cpu: LiteRtNetwork) -> None:
    network = open_network(parts(), "cpu", 1)
    with pytest.raises(NetworkError, match="takes int8"):
        network.run(np.zeros((1, 2, 2, 3), np.int8))


def test_probing_tells_who_runs_who_differs_and_who_is_not_there(
    libraries: list[str], cpu: LiteRtNetwork
) -> None:
    found: dict[int, Probed] = {}
    for mode in (WORKS, NOT_THERE, REFUSES, DIFFERS):
        option = next(o for o in accelerators.options(parts(libraries[mode]), 1) if o.name == "delegate")
        found[mode] = probe(option, cpu, runs=3)
    assert found[WORKS].cosine == 1
    assert found[WORKS].ms is not None
    assert [found[mode].ms for mode in (NOT_THERE, REFUSES, DIFFERS)] == [None] * 3
    assert (found[DIFFERS].cosine or 0) < accelerators.LEAST_COSINE


def test_the_plainest_is_chosen_unless_another_is_worth_its_while() -> None:
    def tried(name: str, threads: int, ms: float | None) -> Probed:
        return Probed(name, threads, ms, 1.0)  # type: ignore[arg-type]  # names of the type

    assert choose([tried("cpu", 1, 4.0), tried("cpu", 2, 3.9), tried("gpu", 1, None)]).threads == 1
    assert choose([tried("cpu", 1, 4.0), tried("cpu", 2, 2.5), tried("edgetpu", 1, 2.4)]).threads == 2
    assert choose([tried("cpu", 1, 4.0), tried("edgetpu", 1, 1.0)]).name == "edgetpu"
    with pytest.raises(NetworkError, match="nothing runs this network"):
        choose([tried("cpu", 1, None)])


def test_what_was_chosen_is_kept_for_this_encoder_and_this_runtime_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.chosen(parts()) is None
    shelf.keep(parts(), [Probed("cpu", 1, 4.0, 1.0), Probed("cpu", 2, 2.0, 1.0), Probed("gpu", 1)])
    assert shelf.chosen(parts()) == ("cpu", 2)
    assert shelf.summary() == "cpu x1 4.0 ms, cpu x2 2.0 ms, gpu - ms"
    assert "2 threads" in open_network(parts(), "auto", 1, shelf=shelf).accelerator
    assert shelf.chosen(Parts(SMALL, "cd" * 32)) is None
    monkeypatch.setattr(accelerators, "runtime_version", lambda: "another")
    assert shelf.chosen(parts()) is None


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"chosen": 3}', '{"chosen": {"name": "rm", "threads": 1}}',
               '{"chosen": {"name": "cpu", "threads": 900}}']
)  # fmt: skip
def test_a_damaged_choice_is_no_choice(tmp_path: Path, damage: str) -> None:
    shelf = Shelf(tmp_path)
    shelf.keep(parts(), [Probed("cpu", 1, 4.0, 1.0)])
    kept = json.loads((tmp_path / "accelerators.json").read_text())
    try:
        spoilt = json.dumps(kept | json.loads(damage))
    except (ValueError, TypeError):
        spoilt = damage
    (tmp_path / "accelerators.json").write_text(spoilt)
    assert shelf.chosen(parts()) is None
    assert open_network(parts(), "auto", 1, shelf=shelf).accelerator.startswith("cpu")


def test_an_accelerator_that_kills_the_process_is_not_tried_a_second_time(
    libraries: list[str], tmp_path: Path
) -> None:
    program = (
        "import sys; from pathlib import Path; from janusd_hw.accelerators import *\n"
        "parts = Parts(Path(sys.argv[1]).read_bytes(), 'ab' * 32, delegate=sys.argv[2])\n"
        "print(open_network(parts, 'auto', 1, shelf=Shelf(Path(sys.argv[3]))).accelerator)"
    )
    command = [sys.executable, "-c", program, str(VECTORS / "small-int8.tflite"), libraries[KILLS]]
    first, second = (
        subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert first.returncode < 0  # by a signal
    assert second.returncode == 0
    assert "did not survive its last start" in second.stdout


@pytest.mark.parametrize(
    ("name", "wants"),
    [("edgetpu", "_edgetpu.tflite"), ("tensorrt", "TensorRT"), ("delegate", "model.delegate")],
)
def test_what_is_wanted_but_has_no_file_is_told(name: str, wants: str) -> None:
    network = open_network(parts(), name, 1)  # type: ignore[arg-type]  # names of the type
    assert wants in network.fault


def test_an_edge_tpu_is_an_option_where_its_compiled_file_is(cpu: LiteRtNetwork) -> None:
    made = accelerators.options(parts(edgetpu=SMALL), 1)
    option = next(option for option in made if option.name == "edgetpu")
    tried = probe(option, cpu)
    if "libedgetpu" in tried.detail and tried.ms is None:
        assert "cannot load the accelerator library libedgetpu.so.1" in tried.detail


def test_another_encoder_is_not_the_same_result(cpu: LiteRtNetwork) -> None:
    class Backwards:
        accelerator = "backwards"

        def run(self, tensor: Tensor) -> Tensor:
            return np.ascontiguousarray(cpu.run(tensor)[:, ::-1])

    said: list[str] = []
    network = FallbackNetwork(cpu, Option("npu", 1, Backwards), on_fault=said.append)
    assert "backwards gives another result" in network.fault
    assert said


def test_an_encoder_that_is_surer_than_the_processor_s_is_not_the_same(cpu: LiteRtNetwork) -> None:
    """How long an answer is goes into every score (core/embed.py): a direction alone is not the result."""

    class Shorter:
        accelerator = "shorter"

        def run(self, tensor: Tensor) -> Tensor:
            zero_point = cpu.output_quantization[1]
            shrunk = zero_point + 0.8 * (cpu.run(tensor).astype(np.float64) - zero_point)
            return np.asarray(np.round(shrunk), np.int8)

    network = FallbackNetwork(cpu, Option("gpu", 1, Shorter))
    assert "shorter gives answers 0.80 times as long as the processor's" in network.fault


def test_compiled_model_on_the_processor_gives_the_interpreters_bytes(cpu: LiteRtNetwork) -> None:
    compiled = CompiledNetwork(SMALL, "cpu")
    for tensor in accelerators.golden(cpu.input_shape):
        assert np.array_equal(compiled.run(tensor), cpu.run(tensor))
    with pytest.raises(NetworkError, match="takes int8"):
        compiled.run(np.zeros((1, 2), np.int8))


@pytest.mark.parametrize("hardware", ["gpu", "npu"])
def test_a_gpu_or_npu_runs_it_alike_or_says_that_it_is_not_there(cpu: LiteRtNetwork, hardware: str) -> None:
    option = next(option for option in accelerators.options(parts(), 1) if option.name == hardware)
    tried = probe(option, cpu, runs=3)
    print(f"\n{hardware} on this machine: {tried}")
    assert (tried.ms is None) is not ((tried.cosine or 0) >= accelerators.LEAST_COSINE)


def test_the_detectors_choice_is_kept_beside_the_encoders(cpu: LiteRtNetwork, tmp_path: Path) -> None:
    encoder, detector = Shelf(tmp_path), Shelf(tmp_path, "detector")
    encoder.keep(parts(), [Probed("cpu", 1, 4.0, 1.0)])
    assert detector.chosen(parts()) is None
    detector.keep(parts(), [Probed("cpu", 2, 2.0, 1.0)])
    assert (encoder.chosen(parts()), detector.chosen(parts())) == (("cpu", 1), ("cpu", 2))
    detector.trying("gpu")
    assert (encoder.is_trying(), detector.is_trying()) == ("", "gpu")
    (finding,) = accelerators.findings(cpu, detector)
    assert finding.check == "accelerator, detector"
    assert "probed: cpu x2 2.0 ms" in finding.detail


def test_set_up_probes_each_in_a_process_of_its_own_and_keeps_the_choice(tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_text("0" * 31 + "7\n")
    config = tmp_path / "janus.toml"
    config.write_text(
        f'[vault]\ndirectory = "{tmp_path}"\nkey = "file"\nmachine_id = "{tmp_path}/machine-id"\n'
        "[model]\nthreads = 1\n"
    )
    command = [sys.executable, "-m", "janusd.main", "--config", str(config), "--probe-accelerators"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(ended.stdout)
    print({tried["name"]: tried["ms"] or tried["detail"] for tried in said["probed"]})
    assert [tried["name"] for tried in said["probed"]] == ["cpu", "gpu", "npu"]
    assert said["probed"][0]["cosine"] == 1
    kept = json.loads((tmp_path / "accelerators.json").read_text())
    assert kept["chosen"]["name"] == said["chosen"]["name"]
