"""PyCap in one fresh process: `worker.py ADDRESS TIMES`, the counterpart of worker.R."""

import json
import resource
import sys
import time

import pandas  # noqa: F401 (what PyCap makes its data frames with; loaded before the clock runs)
import redcap

address, times = sys.argv[1], int(sys.argv[2])
project = redcap.Project(address, "FA4EFA4E" * 4)
for _ in range(times):
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    data = project.export_records(format_type="df", df_kwargs={"low_memory": False})
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = (after.ru_maxrss - before.ru_maxrss) / 1024
    frame = data.memory_usage(deep=True).sum() / 2**20
    facts = {"seconds": seconds, "cpu": cpu, "peak": peak, "frame": frame, "rows": len(data), "columns": data.shape[1]}
    print(json.dumps(facts), flush=True)
    del data
