import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd_export.errors import ExportError
from janusd_export.faces.growing import GrowingArray


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=8))
def test_what_was_saved_is_there_and_nothing_else(tmp_path_factory, blocks):
    path = tmp_path_factory.mktemp("g") / "rows.npy"
    saved, value = [], 0
    array = GrowingArray(path, (2,), np.int32)
    pending = []
    for count, is_saved in blocks:
        rows = np.arange(value, value + 2 * count, dtype=np.int32).reshape(count, 2)
        value += 2 * count
        array.append(rows)
        pending.append(rows)
        if is_saved:
            array.save()
            saved, pending = [*saved, *pending], []
    array.close()  # as if the process had ended here
    expected = np.concatenate(saved) if saved else np.zeros((0, 2), np.int32)
    np.testing.assert_array_equal(np.load(path), expected)
    with GrowingArray(path, (2,), np.int32) as again:
        assert again.rows == len(expected)
        again.append(np.full((1, 2), -1, np.int32))
        again.save()
    np.testing.assert_array_equal(np.load(path), [*expected, [-1, -1]])


def test_a_file_of_other_rows_is_refused(tmp_path):
    GrowingArray(tmp_path / "a.npy", (2,), np.int32).close()
    with pytest.raises(ExportError, match=r"a\.npy holds int32 rows of \(2,\), not float32 of \(3,\)"):
        GrowingArray(tmp_path / "a.npy", (3,), np.float32)


def test_a_file_that_lost_its_end_is_named(tmp_path):
    path = tmp_path / "a.npy"
    with GrowingArray(path, (4,), np.uint8) as array:
        array.append(np.zeros((3, 4), np.uint8))
        array.save()
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ExportError, match=r"a\.npy ends after 2 of 3 rows"):
        GrowingArray(path, (4,), np.uint8)
