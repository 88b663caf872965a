"""Exposure scanning of Amazon ECS. Never imports airflow."""

import os

# Arrow's default allocator keeps what it once held: 11 MiB of a collector that otherwise lives in 230. Read when
# pyarrow is first imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
