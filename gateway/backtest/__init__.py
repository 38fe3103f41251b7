"""Many recordings through many configurations: spread over processes by Dask, scored, and told in one table.

files × configurations ─▶ tasks (a day of a gateway, a configuration) ─▶ spread (Dask) ─▶ replaying.play in each worker
      ▲ sweeps                 │ finished ones are kept by key ◀──────────────┘ what it came to
      └ checked before          └▶ table (CSV, JSON, Parquet), curves, pictures

Dask, matplotlib and pyarrow are the extra `analysis`, and are imported only where they are used.
"""
