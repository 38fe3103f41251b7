"""Into a recording from what people have, and out of it to what their tools read.

    mosquitto_sub logs ─┐
    CSV, Parquet ───────┤                    ticks, health,                         ┌─▶ Parquet
    InfluxDB ───────────┼─▶ Given, in time ─▶ configuration ─▶ recording ─▶ pieces ─┼─▶ JSONL
    videos ─────────────┤   order                                                   └─▶ video with boxes drawn
    alerts of gateways ─┘

Each importer is one module that fulfils `given.Importer`; `recorded` writes what any of them gives.
"""
