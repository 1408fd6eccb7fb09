"""A client with one open connection asks the service one row at a time.

Usage: service_client.py PORT PACK     prints JSON
"""

import http.client
import json
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

N_WARM, N_CALLS = 200, 2000
HEADERS = {"Content-Type": "application/json"}


def main():
    port, folder = sys.argv[1:3]
    rows = json.loads((Path(folder) / "golden/rows.json").read_text(encoding="utf-8"))
    connection = http.client.HTTPConnection("127.0.0.1", int(port))

    def ask(path, body):
        connection.request("POST", path, body, HEADERS)
        return connection.getresponse().read()

    answers = json.loads(ask("/rows", json.dumps(rows)))
    one, times = json.dumps(rows[0]), []
    for _ in range(N_WARM + N_CALLS):
        start = time.perf_counter()
        ask("/row", one)
        times.append(time.perf_counter() - start)
    times = times[N_WARM:]
    said = {"p50_us": 1e6 * statistics.median(times), "requests_per_second": N_CALLS / sum(times)}
    print(json.dumps({"version": version("fastapi"), **said, "answers": answers}))


main()
