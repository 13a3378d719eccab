#!/usr/bin/env python3
"""Runs a command and appends what it took to a file, one JSON object a line.

    measure.py FILE KEY=VALUE... -- COMMAND...

Wall seconds, CPU seconds of the command with all its children, and the peak resident memory of the command's own process without
its children (QEMU is one). The exit code is passed on.
"""
import json
import os
import subprocess
import sys
import time

# How often the peak is read; the kernel keeps it, so only growth in the last moment can be missed.
PERIOD = 0.02


def own_peak(pid):
    """KiB, or None if the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), None)
    except OSError:
        return None


def main():
    split = sys.argv.index("--")
    file, keys, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1 :]
    record = dict(key.split("=", 1) for key in keys)
    begin = time.monotonic()
    child = subprocess.Popen(command)
    peak = 0
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        peak = own_peak(child.pid) or peak
        time.sleep(PERIOD)
    code = os.waitstatus_to_exitcode(status)
    record.update(
        wall_s=round(time.monotonic() - begin, 3),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
        peak_rss_mib=round(peak / 1024, 1),
        exit=code,
    )
    with open(file, "a", encoding="ascii") as out:
        out.write(json.dumps(record) + "\n")
    # A signal's number is negative here.
    sys.exit(code if code >= 0 else 128 - code)


main()
