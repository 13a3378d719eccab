#!/usr/bin/env python3
"""Whether one of two series is slower than the other beyond chance.

    compare.py RUNS TOLERANCE        RUNS as measure.py writes them, with `which` (before, after) and `what`; TOLERANCE in percent

Ends with 1 if anything is.
"""
import json
import sys
from functools import cache
from pathlib import Path
from statistics import median

# Chance that equally fast programs differ so much.
SIGNIFICANT = 0.01


@cache
def ways(few, many, u):
    """In how many orders of `few` and `many` values U is `u`."""
    if u < 0 or u > few * many:
        return 0
    if few == 0 or many == 0:
        return 1 if u == 0 else 0
    return ways(few - 1, many, u - many) + ways(few, many - 1, u)


def chance(before, after):
    """Mann-Whitney U test, exact and two-sided."""
    u = sum((x > y) + 0.5 * (x == y) for x in before for y in after)
    most = len(before) * len(after)
    # Equal values count for both, and half a step more, against significance.
    smaller = int(min(u, most - u) + 0.5)
    orders = sum(ways(len(before), len(after), k) for k in range(most + 1))
    return min(1.0, 2 * sum(ways(len(before), len(after), k) for k in range(smaller + 1)) / orders)


def main(runs, tolerance):
    series = {}
    for line in Path(runs).read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        for unit in ("wall_s", "cpu_s", "peak_rss_mib"):
            series.setdefault((run["what"], unit), {}).setdefault(run["which"], []).append(run[unit])
    is_worse = False
    print("| what | measure | before | after | ratio | chance | |\n| --- | --- | --- | --- | --- | --- | --- |")
    for (what, unit), values in sorted(series.items()):
        before, after = median(values["before"]), median(values["after"])
        ratio, p = after / before, chance(values["before"], values["after"])
        worse = p < SIGNIFICANT and ratio > 1 + tolerance / 100
        better = p < SIGNIFICANT and ratio < 1 - tolerance / 100
        is_worse |= worse
        print(f"| {what} | {unit} | {before:.3f} | {after:.3f} | {ratio:.3f} | {p:.4f} | {'**worse**' if worse else 'better' if better else ''} |")
    sys.exit(1 if is_worse else 0)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
