"""What publisher.py sends: five values of each of 100 devices, a message each time; and the sensor that reads them."""

from __future__ import annotations

FIELDS = ("pm25", "pm10", "rh", "temp", "noise")
DEVICES = 100
SENSOR = (  # to stand in the braces of a sensor, before whatever else it says
    f'mqtt: here, topic: "air/{{device}}/up", json: {{time: ts, {", ".join(f"{field}: {field}" for field in FIELDS)}}}'
)
