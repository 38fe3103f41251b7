"""Tiles and regions: small things are found, large ones are one, and nothing is seen where nobody looks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import av
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from gateway.config.model import Camera
from gateway.vision import tiles
from gateway.vision.detector import Detector, manifest_of
from gateway.vision.heads import Found
from gateway.vision.offline import Item, read
from gateway.vision.tiles import Aim, Area, merged
from tests.vision.conftest import SIDE, _save, manifest, street
from tests.vision.running import running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest

SIZE = (640, 480)
SMALL, LARGE = (400, 300, 424, 324), (150, 100, 500, 400)
RIGHT = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))


def one_red_thing(path: Path, least: int = 12) -> Path:
    """As SSD gives them: one box around all that is red, where that is at least so many of 64 × 64 px."""
    red = np.array([1, 0, -1], np.float32).reshape(1, 3, 1, 1)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "red"], ["redness"]),
        helper.make_node("Greater", ["redness", "hundred"], ["is"]),
        helper.make_node("Cast", ["is"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["mask"], ["columns"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["mask"], ["rows"], axes=[3], keepdims=0),
        *(
            helper.make_node("ArgMax", [of], [name], axis=2, keepdims=1, select_last_index=last)
            for of, name, last in [("rows", "a", 0), ("columns", "b", 0), ("rows", "c", 1), ("columns", "d", 1)]
        ),
        helper.make_node("Concat", ["a", "b", "c", "d"], ["ends"], axis=2),
        helper.make_node("Add", ["ends", "one"], ["px"]),
        helper.make_node("Cast", ["px"], ["pxf"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pxf", "side"], ["boxes"]),
        helper.make_node("ReduceSum", ["mask", "all"], ["sum"], keepdims=0),
        helper.make_node("Unsqueeze", ["sum", "two"], ["area"]),
        helper.make_node("Sub", ["area", "least"], ["beyond"]),
        helper.make_node("Clip", ["beyond", "zero", "most"], ["score"]),
        helper.make_node("Mul", ["score", "zero"], ["none"]),
        helper.make_node("Concat", ["score", "none"], ["scores"], axis=2),
    ]
    constants = {
        "red": red,
        "hundred": np.array(100, np.float32),
        "one": np.array([0, 0, 1, 1], np.int64),
        "side": np.array(SIDE, np.float32),
        "all": np.array([2, 3], np.int64),
        "two": np.array([2], np.int64),
        "least": np.array(least - 0.9, np.float32),
        "zero": np.array(0, np.float32),
        "most": np.array(0.9, np.float32),
    }
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 1, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1, 2]),
    ]
    return _save(path, nodes, [image], outputs, constants)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The model that sees one red thing, unless it is small."""
    return manifest(one_red_thing(tmp_path_factory.mktemp("tiles") / "one.onnx"), "ssd")


def film(path: Path, red: tuple[int, int, int, int], frames: int = 12) -> Path:
    """A street with one red thing on it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        picture = street(*SIZE, red)
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


async def seen(path: Path, model: Manifest, **camera: object) -> list[list[list[float]]]:
    """The boxes of the first looks at a film."""
    cameras = {"gate": Camera(detect=str(path), loop=True, rate=10, health="off", **camera)}  # type: ignore[arg-type]
    async with running(cameras, model, every_nth=1, paced=False) as (_, door):
        await door.until(lambda: len(door.detections("gate")) >= 3)
    return [found.xyxy.tolist() for found in door.detections("gate")[:3]]


@pytest.mark.parametrize(
    ("thing", "count", "boxes"), [(SMALL, 1, 0), (SMALL, 2, 1), (LARGE, 1, 1), (LARGE, 2, 1), (LARGE, 3, 1)]
)
async def test_tiles_find_what_is_small_and_count_what_is_large_once(
    tmp_path: Path, model: Manifest, thing: tuple[int, int, int, int], count: int, boxes: int
) -> None:
    """Given a film with a thing that the whole picture is too coarse for, then only tiles see it, where it is, as one.

    One that all the tiles cut is one, too, with and without them.
    """
    for found in await seen(film(tmp_path / "film.mp4", thing), model, tiles=count):
        assert len(found) == boxes
        for box in found:
            assert box == pytest.approx(thing, abs=11)  # a px of the model's is 10 px of the picture


async def test_outside_the_regions_nothing_is_seen(tmp_path: Path, model: Manifest) -> None:
    """Given a region on the right half, then a thing there is seen where it is, too small for the whole; others not."""
    right, left = film(tmp_path / "right.mp4", (500, 200, 524, 230)), film(tmp_path / "left.mp4", (270, 100, 310, 300))
    assert [len(found) for found in await seen(left, model)] == [1, 1, 1]
    assert await seen(left, model, regions={"right": RIGHT}) == [[], [], []]
    for found in await seen(right, model, regions={"right": RIGHT}):
        assert len(found) == 1
        assert found[0] == pytest.approx([500, 200, 524, 230], abs=8)


def test_regions_are_looked_at_with_what_is_around_them() -> None:
    """A tenth of the picture on each side, within it; tiles lie in that."""
    aim = Aim(2, [((0.5, 0.5), (0.7, 0.5), (0.7, 0.9))])
    whole, *parts = aim.areas(1920, 1080)
    assert whole == Area(768, 432, 1536, 1080)
    assert {min(part.left for part in parts), max(part.right for part in parts)} == {768, 1536}
    assert {min(part.top for part in parts), max(part.bottom for part in parts)} == {432, 1080}


@given(st.integers(1, 8000), st.integers(1, 8000), st.integers(1, 4))
def test_tiles_cover_the_picture_and_overlap(width: int, height: int, count: int) -> None:
    """Given a picture of any size, one px to 8K, then tiles lie in it, leave nothing out and overlap."""
    whole, *parts = Aim(count).areas(width, height)
    assert whole == (0, 0, width, height)
    assert len(parts) in (0, count * count)
    assert all(0 <= part.left < part.right <= width and 0 <= part.top < part.bottom <= height for part in parts)
    assert all(part.left % 2 == 0 and part.top % 2 == 0 for part in parts)
    for low, high, side in ((0, 2, width), (1, 3, height)):
        spans = sorted({(part[low], part[high]) for part in parts})
        if spans:
            assert spans[0][0] == 0
            assert spans[-1][1] == side
            assert all(second[0] < first[1] for first, second in pairwise(spans))


def found(boxes: Sequence[Sequence[float]], score: float = 0.8, label: int = 0) -> Found:
    """Boxes of one look."""
    count = len(boxes)
    return Found(
        np.array(boxes, np.float32).reshape(-1, 4), np.full(count, score, np.float32), np.full(count, label, np.int16)
    )


@given(
    st.tuples(st.floats(0, 0.97), st.floats(0, 0.97), st.floats(0.02, 1), st.floats(0.02, 1)),
    st.integers(2, 4),
    st.lists(st.floats(0.55, 0.95), min_size=17, max_size=17),
)
def test_one_thing_is_one_box_wherever_tiles_cut_it(
    where: tuple[float, float, float, float], count: int, scores: list[float]
) -> None:
    """Given a thing anywhere, seen by all that show a third of it, by the whole if it is large: one box, around it."""
    width, height = 1920, 1080
    x, y, w, h = where
    thing = np.array([x * width, y * height, min(x + w, 1) * width, min(y + h, 1) * height])
    areas = Aim(count).areas(width, height)
    looks = []
    for at, (area, score) in enumerate(zip(areas, scores, strict=False)):
        part = np.array([*np.maximum(thing[:2], area[:2]), *np.minimum(thing[2:], area[2:])])
        shown = max(0.0, part[2] - part[0]) * max(0.0, part[3] - part[1])
        large = max(thing[2] - thing[0], thing[3] - thing[1]) >= 0.04 * min(width, height)
        sees = large if at == 0 else shown >= 0.34 * (thing[2] - thing[0]) * (thing[3] - thing[1])
        looks.append(found([part.tolist()] if sees else [], score))
    got = merged(looks, areas)
    assert len(got.score) == 1
    np.testing.assert_allclose(got.xyxy[0], thing, atol=1)
    assert got.score[0] >= min(scores)


def test_what_nobody_saw_whole_is_joined_of_its_pieces() -> None:
    """Given a thing that the whole missed and two tiles cut, then it is one box around both pieces."""
    areas = Aim(2).areas(1920, 1080)
    left, right = areas[1].right, areas[2].left
    got = merged(
        [found([]), found([[800, 100, left, 300]], 0.6), found([[right, 104, 1200, 296]], 0.7), found([]), found([])],
        areas,
    )
    assert got.xyxy.tolist() == [[800, 100, 1200, 300]]
    assert got.score.tolist() == pytest.approx([0.7])


def test_two_things_of_a_class_stay_two() -> None:
    """Given a small one before a large one, both whole in a tile, and two that a tile's edge cuts: all stay."""
    areas = Aim(2).areas(1920, 1080)
    large, small = [100, 100, 500, 500], [300, 300, 330, 380]
    assert len(merged([found([large]), found([large, small]), *[found([])] * 3], areas).score) == 2
    edge = areas[1].right
    left, right = [edge - 100, 100, edge - 3, 300], [edge - 60, 320, edge + 200, 500]
    cut = [edge - 60, 320, edge, 500]
    assert (
        len(merged([found([left, right]), found([left, cut]), found([right]), found([]), found([])], areas).score) == 2
    )


def test_things_of_two_classes_are_two() -> None:
    """A rider in a tile and the bicycle of the whole."""
    areas = Aim(2).areas(1920, 1080)
    box = [[100, 100, 300, 500]]
    assert sorted(merged([found(box), found(box, label=1), *[found([])] * 3], areas).label.tolist()) == [0, 1]


def test_a_doubtful_box_takes_no_sure_piece() -> None:
    """Given a large box that nobody would believe around a sure thing cut by a tile, then the thing stays as it is."""
    areas = Aim(2).areas(1920, 1080)
    cut = [areas[1].right - 60, 100, areas[1].right, 300]
    got = merged([found([[0, 0, 1900, 1000]], 0.12), found([cut], 0.8), *[found([])] * 3], areas)
    assert got.xyxy.tolist()[0] == cut
    assert got.score.tolist() == pytest.approx([0.8, 0.12])


@pytest.mark.parametrize("many", [0, 1, 10_000])
def test_none_and_very_many_boxes(many: int) -> None:
    """Given no boxes, or more than anyone has, then the 300 best at most come out, best first."""
    rng = np.random.default_rng(0)
    areas = Aim(4).areas(7680, 4320)
    looks = []
    for area in areas:
        low = rng.uniform((area.left, area.top), (area.right - 40, area.bottom - 40), (many, 2))
        looks.append(
            found(np.concatenate([low, low + 20], axis=1).tolist())._replace(score=rng.random(many, np.float32))
        )
    got = merged(looks, areas)
    assert len(got.score) == min(300, many * len(areas))
    assert (np.diff(got.score) <= 0).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (7680, 4320)])
@pytest.mark.parametrize("batch", [1, 4])
def test_frames_of_extreme_sizes_are_looked_at_in_tiles(model: Manifest, size: tuple[int, int], batch: int) -> None:
    """Given one px, a line and 8K, then a look works, with any number of slots."""
    frame = av.VideoFrame(*size, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    [got] = tiles.look(Detector(model, batch), [frame], [Aim(3, [RIGHT])])
    assert len(got.score) == 0


def test_numbers_that_are_none_are_no_boxes_in_tiles(tmp_path: Path) -> None:
    """Given a model that gives a sure box of NaN beside each of its own, then tiles see what is there, and no more."""
    path = one_red_thing(tmp_path / "nan.onnx")
    bad = onnx.load(path)
    for output in bad.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = 2
    for node in bad.graph.node:
        node.output[:] = ["own " + name if name in ("boxes", "scores") else name for name in node.output]
    bad.graph.node.extend([
        helper.make_node("Mul", ["own boxes", "nan"], ["nan boxes"]),
        helper.make_node("Concat", ["own boxes", "nan boxes"], ["boxes"], axis=1),
        helper.make_node("Max", ["own scores", "most"], ["sure"]),
        helper.make_node("Concat", ["own scores", "sure"], ["scores"], axis=1),
    ])  # fmt: skip
    bad.graph.initializer.append(onnx.numpy_helper.from_array(np.array(np.nan, np.float32), "nan"))
    onnx.save(bad, path)
    frame = av.VideoFrame.from_ndarray(street(*SIZE, SMALL), "rgb24")
    [got] = tiles.look(Detector(manifest(path, "ssd")), [frame], [Aim(2)])
    assert len(got.score) == 1
    assert got.xyxy[0].tolist() == pytest.approx(SMALL, abs=11)


def test_people_on_a_square_seen_from_afar(shared: Path) -> None:
    """People on a square seen from afar.

    Given a film of people made small on a large one, then YOLOX-nano finds few of them in the whole and most in tiles;
    and in the film as it is, tiles do not find more than one box a person.
    """
    known = manifest_of(shared / "models/yolox_nano.onnx")
    detector = Detector(known)
    items = read([shared / "data/video/pets2009-s2l1.avi"], 60)
    pictures = [item.picture for item, _ in zip(items, range(6), strict=False) if isinstance(item, Item)]

    def people(picture: NDArray[np.uint8], aim: Aim) -> int:
        [got] = tiles.look(detector, [av.VideoFrame.from_ndarray(picture, "rgb24")], [aim])
        return int(((got.score >= known.score) & (got.label == 0)).sum())

    afar = []
    for picture in pictures:
        square = np.full((1080, 1920, 3), 110, np.uint8)
        square[300 : 300 + picture.shape[0], 500 : 500 + picture.shape[1]] = picture
        afar.append(square)
    near, near_tiled = (sum(people(picture, aim) for picture in pictures) for aim in (Aim(), Aim(2)))
    far, far_tiled = (sum(people(picture, aim) for picture in afar) for aim in (Aim(), Aim(3)))
    assert near_tiled == pytest.approx(near, abs=4)
    assert far < 0.6 * near < 0.8 * near < far_tiled <= near + 4
