import numpy as np
import pytest

from mcgen import long_sums, progress
from mcgen.errors import FileError
from mcgen.long_sums import fingerprint, long_sum


def harmonic(block, state):
    """A sum whose bits depend on the order."""
    term = np.array([1.0 / (block + 1), 0.1])
    return (term, np.array(block)) if state is None else (state[0] + term, np.array(block))


class Interrupted:
    """The same sum, interrupted before some blocks."""

    def __init__(self, *blocks):
        self.blocks, self.done = set(blocks), []

    def __call__(self, block, state):
        if block in self.blocks:
            self.blocks.remove(block)
            raise KeyboardInterrupt
        self.done.append(block)
        return harmonic(block, state)


def test_a_sum_that_is_interrupted_twice_has_the_same_bits(tmp_path):
    path = tmp_path / "checkpoint"
    whole = long_sum(harmonic, 50, "harmonic", ("id",))
    work = Interrupted(7, 31)
    for percent in (14, 62):
        with pytest.raises(KeyboardInterrupt, match=f"harmonic at {percent}%; the sum so far is in .*checkpoint: run"):
            long_sum(work, 50, "harmonic", ("id",), path)
        assert path.exists()
    resumed = long_sum(work, 50, "harmonic", ("id",), path)
    assert work.done == list(range(50))
    for one, other in zip(whole, resumed, strict=True):
        assert one.tobytes() == np.asarray(other).tobytes()
    assert list(tmp_path.iterdir()) == []


def test_interrupted_before_anything_is_done(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="0%; nothing was kept"):
        long_sum(Interrupted(0), 5, "harmonic", ("id",), tmp_path / "checkpoint")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_between_checkpoints_loses_only_what_came_after(tmp_path, monkeypatch):
    monkeypatch.setattr(long_sums, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    path = tmp_path / "checkpoint"

    def crash(block, state):
        if block == 20:
            raise MemoryError
        return harmonic(block, state)

    with pytest.raises(MemoryError):
        long_sum(crash, 50, "harmonic", ("id",), path)
    work = Interrupted()
    resumed = long_sum(work, 50, "harmonic", ("id",), path)
    assert work.done[0] == 20
    assert (resumed[0] == long_sum(harmonic, 50, "harmonic", ("id",))[0]).all()


def test_checkpoints_that_do_not_fit(tmp_path):
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        long_sum(Interrupted(3), 5, "harmonic", ("one",), path)
    with pytest.raises(FileError, match=r"is the checkpoint of another sum \(harmonic.*delete it, or choose another"):
        long_sum(harmonic, 5, "harmonic", ("two",), path)
    with pytest.raises(FileError, match="is the checkpoint of another sum"):
        long_sum(harmonic, 6, "harmonic", ("one",), path)  # the same sum in blocks of another size
    assert path.exists()
    (tmp_path / "text").write_text("not HDF5")
    with pytest.raises(FileError, match="is not a checkpoint of mcgen"):
        long_sum(harmonic, 5, "harmonic", ("one",), tmp_path / "text")
    with pytest.raises(FileError, match=r"there is no folder .*make it, or choose another checkpoint"):
        long_sum(harmonic, 5, "harmonic", ("one",), tmp_path / "missing" / "checkpoint")
    blocked = tmp_path / "folder"
    (blocked.with_name("folder.part")).mkdir()
    with pytest.raises(FileError, match="the checkpoint cannot be written"):
        long_sum(Interrupted(3), 5, "harmonic", ("one",), blocked)


def test_what_is_shown(tmp_path, capsys, monkeypatch):
    long_sum(harmonic, 50, "harmonic", ("id",))
    assert capsys.readouterr().err == ""  # short sums say nothing
    monkeypatch.setattr(long_sums, "LONG_SECONDS", 0.0)
    long_sum(harmonic, 50, "harmonic", ("id",), progress=False)
    assert capsys.readouterr().err == ""
    long_sum(harmonic, 50, "harmonic", ("id",))
    assert "harmonic: about 0 minutes to go; without a checkpoint, Ctrl-C loses it" in capsys.readouterr().err
    long_sum(harmonic, 50, "harmonic", ("id",), tmp_path / "checkpoint")
    assert "Ctrl-C keeps the sum so far in" in capsys.readouterr().err
    assert long_sums._announcement("sum", 9000, None).startswith("sum: about 2.5 hours to go")


def test_fingerprints_tell_arrays_apart():
    one = np.arange(6.0)
    assert fingerprint(one) == fingerprint(one.copy())
    for other in (np.nextafter(one, 9), one.reshape(2, 3), one.astype(np.float32), "text"):
        assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one[1:]) != fingerprint(one[:-1])


@pytest.mark.parametrize("initial", [0, 60])
def test_the_time_left_is_judged_by_the_work_since_the_line_before(capsys, monkeypatch, initial):
    clock = iter([0.0, 50.0, 70.0, 91.0, 101.0])  # kernels compile before the first update
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.progress(100 + initial, "training", shown=True, initial=initial) as bar:
        for n in (1, 20, 0, 30):
            bar.update(n)
    lines = {0: ("1%", "21%", "51%"), 60: ("38%", "50%", "69%")}[initial]
    told = " after 50 s", ", about 79 s left", ", about 51 s left"
    expected = [f"training: {line}{words}" for line, words in zip(lines, told, strict=True)]
    assert capsys.readouterr().err.splitlines() == expected
