"""The grid planner: ways on grids small enough to count by hand, and every listed optimum of the MovingAI scenarios."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from policy_core.config import ConfigError
from sim.warehouse.maps.grid_planner import shortest_way, way_length
from sim.warehouse.maps.movingai import free_cells, read_letters
from sim.warehouse.maps.scenarios import check_scenarios
from sim.warehouse.maps.settings import read_import_settings
from tests.support.real_data import TOP, real_data

SETTINGS = read_import_settings(TOP / "config" / "import.yaml")
DIAGONAL = math.sqrt(2)
SETS = ("warehouse-10-20-10-2-1", "warehouse-20-40-10-2-1")


def grid(*rows: str) -> np.ndarray:
    return np.array([[cell == "." for cell in row] for row in rows])


@pytest.mark.parametrize(
    ("free", "goal", "length"),
    [
        (grid("....", "....", "...."), (2, 3), 1 + 2 * DIAGONAL),
        (grid("..", ".."), (1, 1), DIAGONAL),
        (grid(".@", ".."), (1, 1), 2.0),  # the corner must not be cut
        (grid("..", "@."), (1, 1), 2.0),
        (grid(".@", "@."), (1, 1), math.inf),  # not between two obstacles either
        (grid("...", "@@.", "..."), (2, 0), 6.0),
        (grid("....", ".@@.", "...."), (2, 3), 5.0),
        (grid("."), (0, 0), 0.0),
    ],
)
def test_a_way_has_the_length_counted_by_hand(free: np.ndarray, goal: tuple[int, int], length: float) -> None:
    assert way_length(shortest_way(free, (0, 0), goal)) == pytest.approx(length)


def test_each_step_of_a_way_goes_to_a_free_neighbour_and_cuts_no_corner() -> None:
    rng = np.random.default_rng(3)
    free = rng.random((40, 50)) > 0.15
    free[0, 0] = free[39, 49] = True
    way = shortest_way(free, (0, 0), (39, 49))
    assert way[0].tolist() == [0, 0]
    assert way[-1].tolist() == [39, 49]
    for (row, column), (next_row, next_column) in zip(way[:-1].tolist(), way[1:].tolist(), strict=True):
        assert max(abs(next_row - row), abs(next_column - column)) == 1
        assert free[row, next_column]
        assert free[next_row, column]


def test_lengths_are_those_of_an_exhaustive_search() -> None:
    """Bellman-Ford by whole arrays: no heap, no heuristic."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        free = rng.random((9, 11)) > 0.3
        free[0, 0] = True
        cost = np.full((11, 13), np.inf)  # with a border of obstacles
        cost[1, 1] = 0.0
        wide = np.pad(free, 1)
        for _ in range(99):
            best = cost.copy()
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
                allowed = wide & np.roll(wide, (-down, 0), (0, 1)) & np.roll(wide, (0, -right), (0, 1))
                reached = np.roll(np.where(allowed, cost + math.hypot(down, right), np.inf), (down, right), (0, 1))
                best = np.where(wide, np.minimum(best, reached), np.inf)
            cost = best
        for row, column in np.argwhere(free).tolist():
            assert way_length(shortest_way(free, (0, 0), (row, column))) == pytest.approx(cost[row + 1, column + 1])


@pytest.mark.parametrize("cell", [(0, 1), (5, 0), (-1, 0)])
def test_an_end_that_is_no_free_cell_is_refused(cell: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="is no free cell"):
        shortest_way(grid(".@"), (0, 0), cell)


def scenario_file(folder: Path, *lines: str) -> Path:
    path = folder / "some.scen"
    path.write_text("version 1\n" + "".join(line + "\n" for line in lines))
    return path


def test_a_wrong_listed_length_is_told_by_its_line(tmp_path: Path) -> None:
    free = grid("...", "...")[::-1]  # as imported: row 0 the lowest
    right, wrong = "0\tm\t3\t2\t0\t0\t2\t1\t2.41421356", "0\tm\t3\t2\t0\t0\t2\t0\t2.5"
    agreement = check_scenarios(scenario_file(tmp_path, right, wrong), free, SETTINGS)
    assert (agreement.scenarios, agreement.agreeing) == (2, 1)
    assert agreement.largest_error == pytest.approx(0.5)
    assert agreement.faults == ("line 3: planned 2.00000000, listed 2.50000000",)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0\tm\t3\t2\t0\t0\t2\t1", "line 2: .* wanted bucket"),
        ("0\tm\t9\t2\t0\t0\t2\t1\t2", "line 2: is for a map of 9 x 2"),
        ("0\tm\t3\t2\t0\t0\t7\t1\t2", "line 2: the goal .* is no free cell"),
        ("0\tm\t3\t2\t0\t0\t2\t1\tnan", "line 2: length 'nan'"),
    ],
)
def test_a_bad_scenario_is_refused_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_scenarios(scenario_file(tmp_path, line), grid("...", "..."), SETTINGS)


@pytest.mark.parametrize("name", SETS)
def test_every_listed_optimum_of_the_benchmark_is_met(name: str) -> None:
    free = free_cells(read_letters(real_data(f"maps/movingai/{name}.map"), SETTINGS))
    agreement = check_scenarios(real_data(f"maps/movingai/{name}-random-1.scen"), free, SETTINGS)
    assert (agreement.scenarios, agreement.agreeing) == (1000, 1000)
    assert agreement.largest_error < 1e-6


def test_a_map_with_a_wall_more_does_not_agree(tmp_path: Path) -> None:
    listed = scenario_file(tmp_path, "0\tm\t3\t3\t0\t0\t2\t0\t2.0")
    assert check_scenarios(listed, grid("...", "...", "...")[::-1], SETTINGS).agreeing == 1
    assert check_scenarios(listed, grid(".@.", "...", "...")[::-1], SETTINGS).agreeing == 0
