#!/usr/bin/env python3
"""Runs a command and appends what it took to a file, one JSON object a line.

    measure.py FILE KEY=VALUE... -- COMMAND...

Wall seconds, CPU seconds of the command with all its children, the peak resident memory of the command's own process without
its children (QEMU is one), and the peak of what all of them have together: memory that several share, such as a snapshot, counts once.
Of each QEMU that lived long enough to be looked at, the most memory that it alone had: the median and how many.
The exit code is passed on.
"""
import json
import os
import subprocess
import sys
import time
from statistics import median

# How often the peak is read; the kernel keeps it, so only growth in the last moment can be missed.
PERIOD = 0.05
# Looking at all processes takes longer, and a part of a core from what is measured: this pause at least, and so many times as long as that took.
TREE_PERIOD = 0.5
TREE_SHARE = 100


def own_peak(pid):
    """KiB, or None if the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), None)
    except OSError:
        return None


def tree(root):
    """Numbers of a process and all below it."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                # The name in brackets may have blanks and brackets of its own.
                parent = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(name))
    found, open_ = [], [root]
    while open_:
        found.append(open_.pop())
        open_ += children.get(found[-1], [])
    return found


def memory(pid):
    """KiB of a process: its part of what it shares, and what it has written and no other has. A page of a snapshot that is only read can be
    dropped at any time."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as rollup:
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup if line.endswith("kB\n")}
    except OSError:
        return 0, 0
    return sizes.get("Pss", 0), sizes.get("Private_Dirty", 0)


def is_guest(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as name:
            return name.read().startswith("qemu")
    except OSError:
        return False


def main():
    split = sys.argv.index("--")
    file, keys, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1 :]
    record = dict(key.split("=", 1) for key in keys)
    begin = time.monotonic()
    child = subprocess.Popen(command)
    peak, peak_tree, next_tree, guests = 0, 0, begin + TREE_PERIOD, {}
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        peak = own_peak(child.pid) or peak
        now = time.monotonic()
        if now >= next_tree:
            sizes = {one: memory(one) for one in tree(child.pid)}
            peak_tree = max(peak_tree, sum(shared for shared, _ in sizes.values()))
            for one, (_, private) in sizes.items():
                if is_guest(one):
                    guests[one] = max(guests.get(one, 0), private)
            took = time.monotonic() - now
            next_tree = now + max(TREE_PERIOD, TREE_SHARE * took)
        time.sleep(PERIOD)
    code = os.waitstatus_to_exitcode(status)
    record.update(
        wall_s=round(time.monotonic() - begin, 3),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
        peak_rss_mib=round(peak / 1024, 1),
        peak_tree_mib=round(peak_tree / 1024, 1),
        guest_private_mib=round(median(guests.values()) / 1024, 1) if guests else None,
        guests_seen=len(guests),
        exit=code,
    )
    with open(file, "a", encoding="ascii") as out:
        out.write(json.dumps(record) + "\n")
    # A signal's number is negative here.
    sys.exit(code if code >= 0 else 128 - code)


main()
