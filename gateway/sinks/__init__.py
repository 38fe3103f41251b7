"""Where the streams go: InfluxDB, the ops centre's broker, the embedded history, files, memory for tests."""
