"""Who is seen in a picture or clip of an alert, on pixels; and what the evidence folder keeps and lets go."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from gateway.core.evidence import Wanted
from gateway.errors import EvidenceError
from gateway.vision.board import Captured, Last
from gateway.vision.evidence_clip import Clipping, clip_of, hidden, raw_key, unsealed
from gateway.vision.evidence_picture import Look, annotate, followed, jpeg_of, smaller, subjects
from gateway.vision.evidence_ring import Packet, Ring
from gateway.vision.evidence_store import Store
from gateway.vision.heads import Found

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.core.about import Box

S = 1_000_000_000
WIDTH, HEIGHT = 320, 240


def look(at_s: float, *boxes: tuple[float, float, float, float], labels: tuple[str, ...] = ()) -> Look:
    """A look at boxes, people where nothing else is said."""
    found = np.array(boxes, np.float32).reshape(-1, 4)
    score = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
    return Look(round(at_s * S), 1, WIDTH, HEIGHT, found, score, labels or ("person",) * len(boxes))


def wanted(**more: object) -> Wanted:
    """A request for who stands on the left."""
    left = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    plain: dict[str, object] = {"labels": ("person",), "score": 0.3, "outline": left, **more}
    return Wanted("c", "gate", "seen", "gate.left", "seen-1", 1, 0, 0, **plain)  # type: ignore[arg-type]  its own fields


def noise() -> NDArray[np.uint8]:
    """A picture that is all detail."""
    return np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def detail(picture: NDArray[np.uint8], box: tuple[int, int, int, int]) -> float:
    """How much neighbouring pixels of a part differ."""
    x1, y1, x2, y2 = box
    return float(np.abs(np.diff(picture[y1:y2, x1:x2].astype(np.float64), axis=1)).mean())


SUBJECT, OTHER, CAR, DOG = (20, 40, 80, 160), (200, 40, 260, 160), (170, 180, 300, 230), (20, 180, 100, 230)


def test_who_is_not_the_subject_has_no_detail_left_and_nor_has_a_vehicle() -> None:
    picture = noise()
    annotate(picture, look(1, SUBJECT, OTHER, CAR, DOG, labels=("person", "person", "car", "dog")), wanted(), [], "now")

    inner = (25, 60, 75, 150)
    assert detail(picture, inner) > 60
    assert detail(picture, DOG) > 60
    for box in (OTHER, CAR):
        grown = (box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2)
        assert detail(picture, grown) < 6


def test_of_a_rule_that_is_about_nobody_everybody_is_pixelated() -> None:
    picture = noise()
    annotate(picture, look(1, SUBJECT, OTHER), wanted(labels=(), outline=()), [], "now")

    assert detail(picture, SUBJECT) < 6
    assert detail(picture, OTHER) < 6


def test_what_a_model_of_other_labels_finds_is_pixelated() -> None:
    picture = noise()
    annotate(picture, look(1, SUBJECT, OTHER, labels=("person", "rickshaw")), wanted(), [], "now")

    assert detail(picture, OTHER) < 6


def test_where_a_bystander_covers_the_subject_both_are_pixelated_and_a_second_box_of_the_subject_is_none() -> None:
    behind, again = (60, 40, 120, 160), (22, 44, 82, 158)
    found = look(1, SUBJECT, behind, again, labels=("person", "bicycle", "person"))

    picture = noise()
    annotate(picture, found, wanted(), [], "now")

    assert subjects(found, wanted()).tolist() == [True, False, True]
    assert detail(picture, (25, 60, 50, 150)) > 60
    assert detail(picture, (62, 60, 80, 150)) < 6


def test_at_a_line_only_who_is_near_it_is_the_subject() -> None:
    found = look(1, SUBJECT, OTHER)
    line = ((0.1, 0.7), (0.3, 0.7))

    assert subjects(found, wanted(outline=(), line=line)).tolist() == [True, False]


def named(*boxes: tuple[float, float, float, float]) -> tuple[Box, ...]:
    """Boxes as a request names them."""
    return tuple((x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT) for x1, y1, x2, y2 in boxes)


def test_of_a_track_that_is_named_only_its_box_is_shown_and_the_zones_others_are_pixelated() -> None:
    beside = (90, 40, 150, 160)  # stands in the zone too, and is as much a person
    found = look(1, beside, SUBJECT, OTHER)
    picture = noise()

    annotate(picture, found, wanted(boxes=named(SUBJECT)), [], "now")

    assert subjects(found, wanted(boxes=named(SUBJECT))).tolist() == [False, True, False]
    assert detail(picture, (25, 60, 75, 150)) > 60
    for box in (beside, OTHER):
        assert detail(picture, box) < 6
    assert subjects(found, wanted()).tolist() == [True, True, False]  # by the zone alone


def test_a_box_is_followed_from_its_look_to_the_one_that_is_shown_or_is_nobodys() -> None:
    walk = [look(1 + n / 5, (20 + 12 * n, 40, 80 + 12 * n, 160), (160, 40, 220, 160)) for n in range(8)]
    jump = [walk[0], walk[7]]

    there = followed(named(SUBJECT), walk)

    assert np.allclose(there, named((104, 40, 164, 160)))
    assert subjects(walk[-1], wanted(boxes=there, outline=())).tolist() == [True, False]
    assert np.allclose(followed(there, walk[::-1]), named(SUBJECT))
    assert followed(named(SUBJECT), jump) == ()
    assert followed(named(SUBJECT), [look(1), *walk]) == ()
    assert followed(named(SUBJECT), []) == ()


def test_looks_between_a_request_and_its_picture_are_in_order_and_none_where_the_first_is_gone() -> None:
    ring = Ring("gate", ("person",))
    frame = av.VideoFrame(64, 48, "yuv420p")
    nobody = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int16))
    looks = [ring.found(Last(Captured("gate", n, n * S, frame), nobody)) for n in range(1, 6)]

    assert ring.between(2 * S, looks[3]) == looks[1:4]
    assert ring.between(4 * S, looks[1]) == looks[3:0:-1]
    assert ring.between(3 * S, looks[2]) == [looks[2]]
    assert ring.between(3 * S + 1, looks[4]) == []


def test_a_mask_is_black_whatever_is_in_it() -> None:
    picture = noise()
    annotate(picture, look(1, SUBJECT, OTHER), wanted(), [((0.5, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5))], "now")

    assert (picture[0:118, 162:318] == 0).all()


def test_a_picture_is_never_larger_than_asked_for() -> None:
    large = np.random.default_rng(2).integers(0, 255, (1080, 1920, 3)).astype(np.uint8)
    made = jpeg_of(large)

    assert len(made) <= 100_000
    assert len(smaller(made, 20_000)) <= 20_000
    assert smaller(made, 100_000) is made


# ── clips ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_between_two_looks_a_box_is_where_it_should_be_and_far_from_any_all_is_hidden() -> None:
    looks = [look(1, (20, 40, 80, 160)), look(1.5, (40, 40, 100, 160), (200, 40, 260, 160))]

    between = hidden(looks, round(1.25 * S), WIDTH, HEIGHT)
    assert between is not None
    # 30 … 90 grown by a fifth, and the one who came with the second look where it came
    assert between.tolist() == [[194, 28, 266, 172], [24, 28, 96, 172]]
    assert hidden(looks, 3 * S, WIDTH, HEIGHT) is None
    assert hidden([looks[0], look(2.2)], round(1.6 * S), WIDTH, HEIGHT) is None
    assert hidden([], S, WIDTH, HEIGHT) is None


def packets(seconds: float = 3.0, fps: int = 10) -> list[Packet]:
    """H.264 in Annex B of stripes everywhere, from second 10 on."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = WIDTH, HEIGHT, "yuv420p", Fraction(fps)
    encoder.options, encoder.thread_count = {"tune": "zerolatency", "g": str(fps), "crf": "10"}, 1
    stripes = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    out: list[Packet] = []
    for number in range(round(seconds * fps)):
        frame = av.VideoFrame.from_ndarray(stripes, "rgb24").reformat(format="yuv420p")
        frame.pts = number
        at_ns = round((10 + number / fps) * S)
        out.extend(Packet(at_ns, "h264", bytes(packet), packet.is_keyframe) for packet in encoder.encode(frame))
    return out


def frames(body: bytes) -> list[NDArray[np.uint8]]:
    """The pictures of a clip."""
    with av.open(io.BytesIO(body), "r") as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def test_a_blurred_clip_shows_nobody_and_a_frame_without_looks_shows_nothing() -> None:
    looks = [look(10 + n / 5, (20 + 4 * n, 40, 80 + 4 * n, 160)) for n in range(6)]

    kind, body = clip_of(packets(), looks, Clipping("blur", "", ()))

    shown = frames(body)
    assert kind == "video/mp4"
    assert len(shown) == 30
    for number in range(11):
        moved = round(number * 2)
        assert detail(shown[number], (24 + moved, 50, 76 + moved, 150)) < 12, number
        assert detail(shown[number], (200, 40, 300, 160)) > 40, number
    assert detail(shown[25], (0, 0, WIDTH, HEIGHT)) < 6


def test_a_sealed_clip_is_opened_by_the_private_key_alone() -> None:
    public = pytest.importorskip("nacl.public")
    pair, other = public.PrivateKey.generate(), public.PrivateKey.generate()
    text = [os.fsdecode(_text(bytes(key))) for key in (pair, other, pair.public_key)]

    kind, body = clip_of(packets(), [], Clipping("sealed", text[2], ()))

    assert kind == "application/vnd.zhiwang.sealed"
    assert b"\x47\x40" not in body[:188]
    assert len(frames(unsealed(body, text[0]))) == 30
    with pytest.raises(EvidenceError, match="does not open it"):
        unsealed(body, text[1])
    with pytest.raises(EvidenceError, match="43 letters"):
        raw_key("short")


def _text(raw: bytes) -> bytes:
    import base64  # noqa: PLC0415 - here alone

    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def test_a_clip_as_it_came_is_only_made_where_nothing_is_masked_and_there_are_packets() -> None:
    kind, body = clip_of(packets(), [], Clipping("none", "", ()))

    assert (kind, len(frames(body))) == ("video/mp2t", 30)
    assert detail(frames(body)[20], (0, 0, WIDTH, HEIGHT)) > 100
    mask = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.4))
    with pytest.raises(EvidenceError, match="cannot be masked"):
        clip_of(packets(), [], Clipping("none", "", (mask,)))
    with pytest.raises(EvidenceError, match=r"no H\.264"):
        clip_of([], [], Clipping("blur", "", ()))


def test_a_reel_begins_with_the_key_frame_before_its_time_and_ends_with_it() -> None:
    ring, came = Ring("gate", ("person",)), packets(5)
    for packet in came[:25]:
        ring.packet(packet)
    reel = ring.reel(round(11.5 * S), round(13.5 * S))
    assert reel is not None
    for packet in came[25:]:
        ring.packet(packet)
    ring.end(reel)

    whole = reel.whole()
    assert (whole[0].event_ns, whole[0].key, whole[-1].event_ns) == (11 * S, True, round(13.5 * S))


# ── the folder ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_oldest_go_first_but_never_an_open_or_a_pinned_alerts(tmp_path: Path) -> None:
    store = Store(tmp_path, 10_000)
    made: dict[str, str] = {}
    for age, alert in enumerate(("pinned", "open", "old", "new")):
        made[alert] = store.keep(alert, "image/jpeg", bytes([age]) * 2_400, set())
        for path in (tmp_path / "evidence" / alert).iterdir():
            os.utime(path, (age, age))
    store.pin("pinned")

    store.keep("late", "image/jpeg", b"x" * 2_400, {"open"})

    assert {alert for alert in made if store.read(alert, made[alert])} == {"pinned", "open", "new"}
    store.keep("later", "image/jpeg", b"y" * 2_400, {"open", "late"})
    with pytest.raises(EvidenceError, match="by open or pinned alerts"):
        store.keep("last", "video/mp4", b"z" * 7_000, {"open", "late", "later"})
    assert {alert for alert in ("pinned", "open") if store.read(alert, made[alert])} == {"pinned", "open"}
    store.pin("pinned", wanted=False)
    store.keep("last", "image/jpeg", b"z" * 2_400, {"open", "late", "later"})
    assert store.read("pinned", made["pinned"]) is None


def test_a_picture_that_the_disk_does_not_take_goes_out_from_memory_and_a_clip_does_not(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("a file where the folder should be")
    store = Store(tmp_path, 10_000)
    jpeg = cv2.imencode(".jpg", noise())[1].tobytes()

    for kind, body in (("image/jpeg", jpeg), ("video/mp4", b"clip")):
        with pytest.raises(EvidenceError):
            store.keep("a", kind, body, set())

    import hashlib  # noqa: PLC0415 - here alone

    assert store.read("a", hashlib.sha256(jpeg).hexdigest()) == jpeg
    assert store.read("a", hashlib.sha256(b"clip").hexdigest()) is None


def test_a_file_that_was_changed_is_no_evidence(tmp_path: Path) -> None:
    store = Store(tmp_path, 10_000_000)
    sha256 = store.keep("a", "image/jpeg", b"as it was", set())
    [(_, kept)] = store.files()
    kept.path.write_bytes(b"as it is")

    assert store.read("a", sha256) is None


def test_what_a_killed_process_held_does_not_stay_for_ever(tmp_path: Path) -> None:
    store = Store(tmp_path, 10_000_000)
    store.hold("old", b"1")
    store.hold("new", b"2")
    os.utime(tmp_path / "evidence/held/old.jpg", (1_000, 1_000))

    store.sweep(2_000)

    assert (store.held("old"), store.held("new")) == (None, b"2")


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    store = Store(tmp_path / "state", 10_000_000)
    for name in ("../../etc", "held", "a/b", "", "x" * 300):
        store.keep(name, "image/jpeg", name.encode(), set())
        store.hold(name, b"held")

    assert {path.name for path in tmp_path.iterdir()} == {"state"}
    assert len(list(store.files())) == 5
