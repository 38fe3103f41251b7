"""What publisher.py sends: five values of each of 100 devices, a message each time; and the sensor that reads them."""

from __future__ import annotations

FIELDS = ("pm25", "pm10", "rh", "temp", "noise")
DEVICES = 100
SENSOR = (  # to stand in the braces of a sensor, before whatever else it says
    f'mqtt: here, topic: "air/{{device}}/up", json: {{time: ts, {", ".join(f"{field}: {field}" for field in FIELDS)}}}'
)


def payload(i: int, at_ms: int, *, leap: bool = False) -> bytes:
    """Of a message, by its number; `leap`: with a value beyond every line."""
    return (
        f'{{"ts":{at_ms},"pm25":{500 if leap else 20 + i % 977 / 10:.1f},"pm10":{35 + i % 1409 / 10:.1f},'
        f'"rh":{40 + i % 350 / 10:.1f},"temp":{15 + i % 203 / 10:.1f},"noise":{45 + i % 307 / 10:.1f}}}'
    ).encode()
