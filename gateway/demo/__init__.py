"""What `zhiwang demo` puts around an ordinary gateway: an MQTT broker, recorded sensors that publish to it, a video.

The gateway itself is configs/demo.yaml, run by the same `app.run` as every other.
"""
