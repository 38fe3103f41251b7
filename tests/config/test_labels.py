"""What a camera's model cannot tell apart cannot be counted: `check` knows the shipped models and their labels."""

from __future__ import annotations

import pytest

from tests.config.test_cannot_work import told

CAMERAS = """\
gateway: a
cameras:
  river: {detect: "rtsp://h/1"}
  own: {detect: "rtsp://h/2", model: own.onnx}
rules:
  crowd: {count: person, in: river, levels: {yellow: 5}}
"""


@pytest.mark.parametrize(("count", "wrong"), [("persn", "persn"), ("[car, persn]", "persn")])
def test_a_label_that_the_model_does_not_know_is_refused(count: str, wrong: str) -> None:
    (problem,) = told(CAMERAS.replace("count: person", f"count: {count}"))
    assert problem.startswith(
        f"rules.crowd.count: the model of camera river does not know {wrong}; did you mean person? (it knows: "
    )


def test_a_model_that_is_not_shipped_is_refused() -> None:
    (problem,) = told(CAMERAS.replace('"rtsp://h/1"', '"rtsp://h/1", model: yolox-nan'))
    assert problem.startswith("cameras.river.model: no model yolox-nan; did you mean yolox-nano? (models: ")
    (problem,) = told(f"model: nope\n{CAMERAS}")
    assert problem.startswith("model: no model nope (models: ")
    assert problem.endswith("; or a path ending in .onnx)")


def test_demo_data_are_no_model() -> None:
    (problem,) = told(f"model: bikes\n{CAMERAS}")
    assert problem.startswith("model: no model bikes (models: ")


def test_what_the_labels_of_a_file_are_is_not_known_before_it_runs() -> None:
    assert told(CAMERAS.replace("in: river", "in: own").replace("person", "bollard")) == []
    assert told(CAMERAS) == []
