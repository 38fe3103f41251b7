"""A camera's gate: asks motion.py about the frames whose turn it is, and tells it what became of those looked at."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from gateway.vision.motion import Answer, Motion
from gateway.vision.timing import NS

if TYPE_CHECKING:
    from gateway.vision.board import Board, Last
    from gateway.vision.luma import Taken
    from gateway.vision.tiles import Aim

_FOUND = 0.25  # score from which what moved is taken for something: under it models see things in leaves
_SURE = 0.4  # and from which a number of them counts: the manifests' own
_SIDE = 1000  # of a picture, to know the part of it that is looked at


class Turn(Enum):
    """What is to be done with a frame."""

    LOOK = "it takes the camera's seat"
    STILL = "nothing has moved since the last look"
    NOT_YET = "it was not compared: the next look is not due"


class Gate:
    """One camera's, in its thread. `every_ns`: the longest time between two looks; `rate`: looks a second wanted.

    aim: what of the picture is looked at; what moves outside is nothing.
    """

    def __init__(self, camera: str, board: Board, every_ns: int, rate: float, aim: Aim) -> None:
        self._camera = camera
        self._board = board
        left, top, right, bottom = (side / _SIDE for side in aim.areas(_SIDE, _SIDE)[0])
        self._motion = Motion(every_ns, (left, top, right, bottom))
        self._step_ns = round(NS / rate * 3 / 4)  # a quarter of a period early is near enough, as on the board
        self._judged_ns: int | None = None

    def again(self) -> None:
        """A new connection, or after blindness: look at the next frame."""
        self._motion.again()
        self._judged_ns = None

    def quiet_ns(self, event_ns: int) -> int:
        """For how long nothing has moved that was something."""
        stirred_ns = self._motion.stirred_ns
        return 0 if stirred_ns is None else event_ns - stirred_ns

    @property
    def moved(self) -> bool:
        """Whether something moved in the frame that was compared last."""
        return self._motion.moved

    def judge(self, number: int, event_ns: int, taken: Taken, *, at_once: bool = False, force: bool = False) -> Turn:
        """Decide over a frame. `at_once`: also before its turn; `force`: look. Raises Closed."""
        if not at_once and self._judged_ns is not None and 0 <= event_ns - self._judged_ns < self._step_ns:
            return Turn.NOT_YET
        view = self._board.view(self._camera, event_ns)
        if not view.due:
            return Turn.NOT_YET
        if view.failed:
            self._motion.again()
        elif view.given is not None:
            self._motion.given(view.given)
        if view.last is not None:
            self._motion.answered(_answer(view.last))
        if force:
            self._motion.force()
        self._judged_ns = event_ns
        sample = taken.sample
        wanted = sample is None or self._motion.wants(number, event_ns, sample.small, sample.size)
        if wanted or view.waiting:
            self._motion.offered()
            return Turn.LOOK
        return Turn.STILL


def _answer(last: Last) -> Answer:
    captured, found = last
    size = (captured.frame.width, captured.frame.height)
    sure = int((found.score >= _SURE).sum())
    return Answer(captured.number, size, found.xyxy[found.score >= _FOUND], sure)
