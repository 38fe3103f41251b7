"""zhiwang (智网): a city-sensing edge gateway. Streams and cameras in; detections, alerts and time series out."""

__version__ = "0.1.0"
