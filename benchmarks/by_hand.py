"""The script that a user would write by hand for `benchmarks/ingest.py` to stand beside: paho and influxdb-client.

python benchmarks/by_hand.py MQTT_PORT INFLUX_URL       a callback, Points, batching mode with its default options
"""

from __future__ import annotations

import json
import sys

import paho.mqtt.client as mqtt
from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision


def main() -> None:
    """Run until killed."""
    port, url = int(sys.argv[1]), sys.argv[2]
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id="by-hand", clean_session=False, protocol=mqtt.MQTTv311
    )

    def on_connect(client: mqtt.Client, *_: object) -> None:
        client.subscribe("air/+/up", qos=1)

    client.on_connect = on_connect
    influx = InfluxDBClient(url=url, token="", org="bench")
    write_api = influx.write_api(write_options=WriteOptions())

    def on_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        reading = json.loads(message.payload)
        point = Point("by_hand").tag("device", message.topic.split("/")[1])
        for field in ("pm25", "pm10", "rh", "temp", "noise"):
            point.field(field, reading[field])
        write_api.write(bucket="bench", record=point.time(reading["ts"], WritePrecision.MS))

    client.on_message = on_message
    client.connect("127.0.0.1", port, keepalive=600)
    print("ready", flush=True)
    client.loop_forever()


if __name__ == "__main__":
    main()
