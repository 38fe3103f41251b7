"""Channels in the schemas that Foxglove knows by name (docs.foxglove.dev, Foxglove schemas), as JSON.

The schemas here are those documents' types without their descriptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.config.scalars import NS
from gateway.recording.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER, _WHOLE, _TEXT = {"type": "number"}, {"type": "integer"}, {"type": "string"}


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties}


def _list(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


_TIME = {"title": "time", **_object(sec=_WHOLE, nsec=_WHOLE)}
_POINT = _object(x=_NUMBER, y=_NUMBER)
_COLOUR = _object(r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
_METADATA = _list(_object(key=_TEXT, value=_TEXT))
_ANNOTATIONS = _object(
    circles=_list(
        _object(
            timestamp=_TIME,
            position=_POINT,
            diameter=_NUMBER,
            thickness=_NUMBER,
            fill_color=_COLOUR,
            outline_color=_COLOUR,
            metadata=_METADATA,
        )
    ),
    points=_list(
        _object(
            timestamp=_TIME,
            type=_WHOLE,
            points=_list(_POINT),
            outline_color=_COLOUR,
            outline_colors=_list(_COLOUR),
            fill_color=_COLOUR,
            thickness=_NUMBER,
            metadata=_METADATA,
        )
    ),
    texts=_list(
        _object(
            timestamp=_TIME,
            position=_POINT,
            text=_TEXT,
            font_size=_NUMBER,
            text_color=_COLOUR,
            background_color=_COLOUR,
            metadata=_METADATA,
        )
    ),
)
_LOCATION = _object(
    timestamp=_TIME,
    frame_id=_TEXT,
    latitude=_NUMBER,
    longitude=_NUMBER,
    altitude=_NUMBER,
    position_covariance=_list(_NUMBER),
    position_covariance_type=_WHOLE,
)
_LOG = _object(timestamp=_TIME, level=_WHOLE, message=_TEXT, name=_TEXT, file=_TEXT, line=_WHOLE)
_GEOJSON = _object(geojson=_TEXT)

LINE_LOOP = 2
INFO, WARNING, ERROR, FATAL = 2, 3, 4, 5


def _channel(topic: str, name: str, schema: Mapping[str, object]) -> Beside:
    full = f"foxglove.{name}"
    return Beside(topic, full, "jsonschema", msgspec.json.encode({"title": full, **schema}), "json")


def image_annotations(topic: str) -> Beside:
    """foxglove.ImageAnnotations: what is drawn over a picture, in its pixels."""
    return _channel(topic, "ImageAnnotations", _ANNOTATIONS)


def location_fix(topic: str) -> Beside:
    """foxglove.LocationFix: where one thing is."""
    return _channel(topic, "LocationFix", _LOCATION)


def geojson(topic: str) -> Beside:
    """foxglove.GeoJSON: what is drawn on the map."""
    return _channel(topic, "GeoJSON", _GEOJSON)


def log(topic: str) -> Beside:
    """foxglove.Log: lines for people."""
    return _channel(topic, "Log", _LOG)


def time(at_ns: int) -> dict[str, int]:
    """A time as these messages write it."""
    return {"sec": at_ns // NS, "nsec": at_ns % NS}


def colour(red: float, green: float, blue: float, alpha: float = 1.0) -> dict[str, float]:
    """A colour, each part from 0 to 1."""
    return {"r": red, "g": green, "b": blue, "a": alpha}
