"""A constant-velocity Kalman filter over n boxes at once, its algebra written out elementwise (SEMANTICS.md §5).

A box's centre (x, y) and sides (w, h) each have a value and a velocity. x and y are measured equally well and move
alike, so one covariance stands for both, and another for w and h: three numbers each. A belief is float64[14, n]:

    0–3 x y w h px │ 4–7 their velocities px/s │ 8 9 variance of value │ 10 11 of both │ 12 13 of velocity (place, side)

Noise is in sizes, a size being a box's longer side, so that a thing twice as near may be twice as far off in pixels.
Time is in seconds and enters exactly (white noise on the acceleration): one step of a second is ten of a tenth, and a
track that is not seen need not be touched until it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NUMBERS = 14
"""How many numbers a belief has."""
PLACE_NOISE, SIDE_NOISE = 0.05, 0.1
"""Standard deviation of a measured centre, in sizes, as in ByteTrack (1/20), and of a side: arms and legs move."""
PLACE_WANDER, SIDE_WANDER = 0.1, 0.04
"""Variance that a velocity gains a second, (sizes/s)²: 0.3 sizes/s² held for one, as a person or a car may."""
PLACE_SPEED, SIDE_SPEED = 2.0, 0.2
"""Standard deviation of a velocity that nobody has seen yet, sizes/s, as in ByteTrack (1/16 a frame at 30 a second)."""
LEAST_SIZE_PX = 1.0
"""A box without a side has this, so that nothing is divided by nothing."""

_NOISE = np.array([[PLACE_NOISE * PLACE_NOISE], [SIDE_NOISE * SIDE_NOISE]])
_WANDER = np.array([[PLACE_WANDER], [SIDE_WANDER]])
_SPEED = np.array([[PLACE_SPEED * PLACE_SPEED], [SIDE_SPEED * SIDE_SPEED]])
_HALF_LN2 = 0.34657359027997264
_LN2 = 0.6931471805599453
_SQRT2 = 1.4142135623730951


def measured(xyxy: NDArray[np.float32]) -> Array:
    """Centre and sides float64[4, n] of boxes (left, top, right, bottom) float32[n, 4]."""
    box = xyxy.astype(np.float64).T
    out = np.empty(box.shape)
    np.maximum(box[2:] - box[:2], LEAST_SIZE_PX, out=out[2:])
    np.multiply(box[:2] + box[2:], 0.5, out=out[:2])
    return out


def boxes_of(belief: Array) -> Array:
    """Left, top, right, bottom float64[n, 4]."""
    half = np.maximum(belief[2:4], LEAST_SIZE_PX) * 0.5
    return np.concatenate([belief[:2] - half, belief[:2] + half]).T


def feet_speed(belief: Array) -> Array:
    """The velocity of each box's bottom centre, float64[n, 2] px/s."""
    return np.stack([belief[4], belief[5] + belief[7] * 0.5], axis=1)


def squares(belief: Array) -> Array:
    """The square of each box's longer side, float64[n] px²."""
    size = np.maximum(np.maximum(belief[2], belief[3]), LEAST_SIZE_PX)
    return size * size


def begun(z: Array) -> Array:
    """What one measurement float64[4, n] tells: the place, and nothing of the velocity."""
    out = np.zeros((NUMBERS, z.shape[1]))
    square = squares(z)
    out[:4] = z
    out[8:10] = _NOISE * square
    out[12:] = _SPEED * square
    return out


def predicted(belief: Array, dt: Array) -> Array:
    """The belief `dt` seconds (float64[n]) later."""
    gained = _WANDER * squares(belief) * dt
    both, velocity = belief[10:12], belief[12:]
    out = np.empty(belief.shape)
    out[:4] = belief[:4] + belief[4:8] * dt
    out[4:8] = belief[4:8]
    out[8:10] = belief[8:10] + dt * (both + both + dt * (velocity + gained * (1 / 3)))
    out[10:12] = both + dt * (velocity + gained * 0.5)
    out[12:] = velocity + gained
    return out


def noises(belief: Array) -> Array:
    """Variance of a measurement, of a centre and of a side: float64[2, n] px²."""
    return _NOISE * squares(belief)


def updated(belief: Array, z: Array) -> Array:
    """The belief after the measurements float64[4, n]."""
    noise = noises(belief)
    whole = belief[8:10] + noise
    gain, gain_speed = belief[8:10] / whole, belief[10:12] / whole
    off = (z - belief[:4]).reshape(2, 2, -1)
    out = np.empty(belief.shape)
    out[:4] = belief[:4] + (gain[:, None] * off).reshape(4, -1)
    out[4:8] = belief[4:8] + (gain_speed[:, None] * off).reshape(4, -1)
    out[8:10] = gain * noise
    out[10:12] = gain_speed * noise
    out[12:] = belief[12:] - gain_speed * belief[10:12]
    return out


def surprise(belief: Array, z: Array) -> tuple[Array, Array]:
    """How far each measurement is from where each box should be: (distance float64[n, m], spread float64[n]).

    The distance is Mahalanobis's, squared, over the four numbers; the spread is the logarithm of the determinant of
    what was expected, in sizes. Their sum, halved, is minus the logarithm of the likelihood but for a constant.
    """
    square = squares(belief)
    expected = belief[8:10] + _NOISE * square
    off = z[:, None, :] - belief[:4, :, None]
    off *= off
    off[0] += off[1]
    off[2] += off[3]
    distance = off[0] / expected[0][:, None] + off[2] / expected[1][:, None]
    return distance, 2.0 * logarithm((expected[0] / square) * (expected[1] / square))


def logarithm(x: Array) -> Array:
    """The natural logarithm of positive numbers to 2·10⁻⁶, by + − × ÷ alone, so the same on every CPU."""
    fraction, exponent = np.frexp(x)
    fraction *= _SQRT2
    s = (fraction - 1.0) / (fraction + 1.0)
    square = s * s
    return exponent * _LN2 - _HALF_LN2 + s * (2.0 + square * (2 / 3 + square * (2 / 5)))
