"""Lines of progress."""

import time

import numpy as np
import pytest

from adaptax.progress import Lines, Pulse


def shown(capsys: pytest.CaptureFixture[str], lines: Lines, start: int, end: int, chunks: list[tuple]) -> list[str]:
    with lines.training(start, end, 100) as show:
        for chunk in chunks:
            show(*chunk)
    return capsys.readouterr().err.splitlines()


def test_a_validation_between_two_lines_is_shown_in_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    chunks = [(1, {}, None), (2, {}, np.array([6.0, 7.0])), (3, {}, None), (4, {"life_return": np.ones(2)}, None)]
    title, todo, compiled, last = shown(capsys, Lines("my run", seconds=1e9), 0, 4, chunks)
    assert title == "my run" and "meta-steps 0 to 4 of 100 environment steps" in todo and "compiled" in compiled
    assert "meta-step 4/4" in last and "life_return 1.000" in last and "validation 6.500" in last and "0 s left" in last


def test_a_validation_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    chunks = [(1, {}, None), (2, {}, np.array([6.0])), (3, {}, None)]
    *_, second, third = shown(capsys, Lines(seconds=0.0), 0, 3, chunks)
    assert "validation 6.000" in second and "validation" not in third


def test_a_finished_training_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = shown(capsys, Lines(), 4, 4, [])
    assert line == "all 4 meta-steps are done already; nothing is left to do"


def test_who_says_nothing_gives_a_sign_of_life(capsys: pytest.CaptureFixture[str]) -> None:
    with Pulse("still at it", seconds=0.1) as pulse:
        time.sleep(0.25)
        pulse.now("at something else")
        time.sleep(0.15)
    time.sleep(0.15)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "still at it (0 s so far)" and lines[-1] == "at something else (0 s so far)", lines


def test_who_says_enough_gives_none(capsys: pytest.CaptureFixture[str]) -> None:
    with Pulse("still at it", seconds=0.5) as pulse:
        for _ in range(10):
            time.sleep(0.1)
            pulse.now("still at it")
    assert capsys.readouterr().err == ""


def test_a_training_that_compiles_for_long_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(patience=0.1).training(0, 4, 40):
        time.sleep(0.15)
    assert "still compiling, or in the first meta-step" in capsys.readouterr().err
