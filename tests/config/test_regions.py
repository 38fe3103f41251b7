"""Whether a zone or line lies where its camera is looked at."""

from __future__ import annotations

import pytest

from gateway.config.regions import outside

SQUARE = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
BAY = (
    (0.0, 0.0),
    (1.0, 0.0),
    (1.0, 1.0),
    (0.6, 1.0),
    (0.6, 0.3),
    (0.4, 0.3),
    (0.4, 1.0),
    (0.0, 1.0),
)  # a U, upside down


@pytest.mark.parametrize(
    ("shape", "region", "closed", "fine"),
    [
        (SQUARE, SQUARE, True, True),
        (((0.2, 0.2), (0.5, 0.2), (0.5, 0.5)), SQUARE, True, True),  # along its edge
        (((0.1, 0.2), (0.5, 0.2), (0.5, 0.5)), SQUARE, True, False),
        (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), SQUARE, True, False),  # around it
        (((0.3, 0.9), (0.7, 0.9)), BAY, False, False),  # both ends inside, the middle is not
        (((0.3, 0.2), (0.7, 0.2)), BAY, False, True),
        (((0.1, 0.9), (0.1, 0.1), (0.9, 0.1), (0.9, 0.9)), BAY, False, True),
        (((0.1, 0.9), (0.1, 0.1), (0.9, 0.1), (0.9, 0.9)), BAY, True, False),  # its last side crosses the bay
        (((0.4, 0.3), (0.6, 0.3)), BAY, False, True),  # the edge itself
    ],
)
def test_a_shape_lies_in_a_region_or_not(
    shape: tuple[tuple[float, float], ...], region: tuple[tuple[float, float], ...], closed: bool, fine: bool
) -> None:
    """Also where its corners lie in it and a side does not."""
    assert outside({"it": shape}, {"region": region}, closed=closed) == ([] if fine else ["it"])
    assert outside({"it": shape}, {"far": ((0.9, 0.9), (1, 0.9), (1, 1)), "region": region}, closed=closed) == (
        [] if fine else ["it"]
    )


def test_without_regions_the_whole_picture_is_looked_at() -> None:
    """Nothing is outside of nothing."""
    assert outside({"it": SQUARE}, {}, closed=True) == []
