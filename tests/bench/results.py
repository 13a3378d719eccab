#!/usr/bin/env python3
"""Turns measurements into reports/bench: a JSON file a part, and results.md, results.json and plot.svg of all parts.

    results.py part NAME OUT REPORT FILE...    what was measured for a part; REPORT is a run's report.json
    results.py all FOLDER                      the reports, of the parts that are there
    results.py origins REPORT                  NAME FILE OFFSET SIZE SHA256 of each object inside an executable
    results.py accel REPORT                    what ran the guests
"""
import datetime
import json
import os
import re
import sys
from pathlib import Path
from statistics import median

from goals import fit, goals, loops, stock_start, walls

MIB = 1 << 20


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def machine():
    def first(path, pattern):
        found = re.search(pattern, Path(path).read_text(encoding="utf-8", errors="replace"), re.M)
        return found.group(1) if found else "unknown"

    return {
        "cpu": first("/proc/cpuinfo", r"^model name\s*: (.*)$"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(first("/proc/meminfo", r"^MemTotal:\s+(\d+)")) // 1024,
        "kernel": os.uname().release,
        "load_at_the_end": os.getloadavg()[0],
    }


def warm(files):
    *warm_files, cold_file, snapshots = files
    sizes = {}
    units = {"B": 1, "KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}
    for line in Path(snapshots).read_text(encoding="utf-8").splitlines():
        # What `corematrix store list` prints, last used first: snapshot NAME NUMBER UNIT ... Other ones of a kernel are of larger guests or
        # of earlier builds.
        _, kernel, number, unit = line.split()[:4]
        sizes.setdefault(kernel, float(number) * units[unit])
    restores, releases = {}, {}
    for record in map(read, warm_files):
        for kernel in record["kernels"]:
            restores.setdefault(kernel["name"], []).extend(kernel.get("restore_ms", []))
            releases[kernel["name"]] = (kernel.get("identity") or {}).get("release", "")
    cold = {kernel["name"]: kernel["hello_ms"] for kernel in read(cold_file)["kernels"]}
    return {
        "kernels": [
            {
                "kernel": name,
                "release": releases[name],
                "restore_ms": median(times) if times else None,
                "restores": times,
                "cold_ms": median(cold[name]) if cold.get(name) else None,
                "snapshot_mib": round(sizes[name] / MIB, 1) if name in sizes else None,
            }
            for name, times in restores.items()
        ]
    }


def matrix(files):
    runs, stock, loads, kernels, objects = lines(files[0]), lines(files[1]), files[2], int(files[3]), int(files[4])
    by_kernel = {}
    for line in Path(loads).read_text(encoding="utf-8").splitlines():
        kernel, name, code, took = line.split()
        by_kernel.setdefault(kernel, []).append({"object": name, "exit": int(code), "ms": int(took)})
    return {
        "kernels": kernels,
        "objects": objects,
        "runs": runs,
        "stock": [
            {
                "kernel": run["kernel"],
                "wall_s": run["wall_s"],
                # What is left of the whole guest without the loads: booting, and ending.
                "start_s": run["wall_s"] - sum(load["ms"] for load in by_kernel[run["kernel"]]) / 1000,
                "loads": by_kernel[run["kernel"]],
            }
            for run in stock
        ],
    }


def evidence(files):
    rows = [line.split() for line in Path(files[0]).read_text(encoding="utf-8").splitlines()[1:]]
    return {"kernels": [{"kernel": r[0], "bare_ms": float(r[1]), "evidence_ms": float(r[2]), "ratio": float(r[3])} for r in rows]}


def growth(files):
    runs = lines(files[0])
    for run in runs:
        run["kernels"], run["objects"] = int(run["kernels"]), int(run["objects"])
        run["cells"] = run["kernels"] * run["objects"]
    return {"runs": runs}


def guests(files):
    runs = lines(files[0])
    for run in runs:
        run["jobs"] = int(run["jobs"])
    return {"runs": runs}


def reports(files):
    runs = lines(files[0])
    opened = {page: [run["wall_s"] for run in lines(files[1]) if run["page"] == page] for page in ("blank", "report")}
    return {
        "kernels": int(files[3]),
        "objects": int(files[4]),
        "written": runs,
        "page_mib": round(Path(files[2]).stat().st_size / MIB, 2),
        # The browser's own start is not the page's.
        "opened_s": round(median(opened["report"]) - median(opened["blank"]), 3) if opened["report"] else None,
    }


def part(name, out, report, *files):
    measured = {"warm": warm, "matrix": matrix, "evidence": evidence, "growth": growth, "guests": guests, "reports": reports}[name](files)
    when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = {"schema_version": 1, "when": when, "machine": machine(), "tool": read(report)["tool"], **measured}
    write(Path(out), json.dumps(whole, indent=1) + "\n")


def write(path, text):
    """Whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def origins(report):
    for one in read(report)["objects"]:
        file, offset = re.fullmatch(r"(.*): offset (0x[0-9a-f]+)", one["origin"]).groups()
        print(one["name"], file, offset, one["size"], one["sha256"], sep="\t")


def number(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def table(head, rows):
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in cells) + "\n"


def shown(value, suffix=""):
    return "" if value is None else number(value) + suffix


def markdown(parts, rows):
    text = ["# Benchmarks\n"]
    for name, part in parts.items():
        tool, where = part["tool"], part["machine"]
        about = [f"{where['cores']} cores of {where['cpu']}"]
        about += [f"{where['memory_mib']} MiB", f"Linux {where['kernel']}"] if "kernel" in where else []
        about += [f"QEMU {tool['qemu']} with {tool['accel']}", f"virtme-ng {tool['virtme_ng']}", f"corematrix {tool['corematrix']}"]
        text.append(f"* {name}: {part['when']}; {', '.join(about)}; load {where['load_at_the_end']:.1f} at the end")
    text.append("\nMade by `make bench`. A goal without an answer belongs to a larger setting than what was measured.\n")

    def goal(one):
        if one["goal"] is None:
            return ["", ""]
        verdict = {True: "met", False: "**missed**", None: "-"}[one["met"]]
        return [f"at {'least' if one['least'] else 'most'} {one['goal']} {one['unit']}".strip(), verdict]

    text.append(table(["what", "measured", "goal", ""], [[r["what"], f"{number(r['value'])} {r['unit']}".strip(), *goal(r)] for r in rows]))
    text.append("![Start of a guest, and growth with cells](plot.svg)\n")
    stock = stock_start(parts)
    if "boot" in parts:
        text.append("## Cold against stock\n\nThe very same plain kernels; [boot.md](boot.md) has more.\n")
        text.append(table(["kernel", "stock `vng --run`", "`corematrix run --cold`, whole", "hello", "hello / stock"], [
            [k["kernel"], shown(k["stock_s"], " s"), shown(k["corematrix_s"], " s"), shown(k["hello_ms"] / 1000, " s"), shown(k["hello_to_stock"])]
            for k in parts["boot"]["kernels"]]))
    if "warm" in parts:
        text.append("## Warm against cold\n\nThe default kernels, one guest at a time, medians.\n")
        text.append(table(["kernel", "release", "cold", "warm", "warm / cold", "warm / stock", "snapshot"], [
            [k["kernel"], k["release"], shown(k["cold_ms"] and k["cold_ms"] / 1000, " s"), shown(k["restore_ms"] and k["restore_ms"] / 1000, " s"),
             shown(k["restore_ms"] / k["cold_ms"] if k["restore_ms"] and k["cold_ms"] else None),
             shown(k["restore_ms"] / 10 / stock[k["kernel"]] if k["restore_ms"] and k["kernel"] in stock else None, " %"), shown(k["snapshot_mib"], " MiB")]
            for k in parts["warm"]["kernels"]]))
    if "matrix" in parts:
        part = parts["matrix"]
        isolated, shared, single = loops(part)
        measured = ", ".join(one["kernel"] for one in part["stock"])
        text.append(
            "## A matrix against a loop of stock virtme-ng\n\n"
            f"The loop runs `bpftool prog loadall` on the same objects. It was measured on {measured} (plain kernels), one guest for all objects, each load "
            f"timed inside, and is extrapolated from there: to a guest for each cell, which `--isolation cell` gives, and to {part['kernels']} kernels by the mean.\n")
        text.append(table(["kernels x objects", "corematrix", "a stock guest for each cell", "a stock guest for each kernel"], [
            [f"{part['kernels']} x 1", shown(median(walls(part, "default", "one")), " s"), shown(single, " s (extrapolated)"), ""],
            [f"{part['kernels']} x {part['objects']}", shown(median(walls(part, "default", "all")), " s"), "", shown(shared, " s (extrapolated)")],
            ["the same with `--isolation cell`", shown(walls(part, "default", "apart")[0], " s"), shown(isolated, " s (extrapolated)"), ""],
            [f"{len(part['stock'])} x {part['objects']}, the same plain kernels on both sides", shown(walls(part, "plain", "all")[0], " s"),
             "", shown(sum(one["wall_s"] for one in part["stock"]), " s (measured)")],
            ["the same with `--isolation cell`", shown(walls(part, "plain", "apart")[0], " s"),
             shown(isolated / part["kernels"] * len(part["stock"]), " s (extrapolated from boots and loads)"), ""]]))
    if "evidence" in parts:
        text.append("## Inside the guest\n\nTime in the guest over ten objects, with all evidence and as bare libbpf loads.\n")
        text.append(table(["kernel", "bare", "with evidence", "ratio"], [
            [k["kernel"], f"{k['bare_ms']:.0f} ms", f"{k['evidence_ms']:.0f} ms", number(k["ratio"])] for k in parts["evidence"]["kernels"]]))
    if "growth" in parts:
        cores = parts["growth"]["machine"]["cores"]
        text.append("## Growth\n")
        text.append(table(["kernels", "objects", "cells", "wall", "a cell", "cores busy", "peak memory of corematrix", "with its guests"], [
            [r["kernels"], r["objects"], r["cells"], shown(r["wall_s"], " s"), shown(r["wall_s"] / r["cells"], " s"),
             f"{100 * r['cpu_s'] / r['wall_s'] / cores:.0f} %", shown(r["peak_rss_mib"], " MiB"), shown(r.get("peak_tree_mib"), " MiB")] for r in parts["growth"]["runs"]]))
    if "guests" in parts:
        text.append("## Guests at once\n\nTen objects on the default kernels, guests of 256 MiB. What a guest alone has is what it has written: under emulation most of it is QEMU's translation of the guest's code.\n")
        text.append(table(["`--jobs`", "wall", "CPU", "a guest alone, median", "guests looked at", "memory of all"], [
            [r["jobs"], shown(r["wall_s"], " s"), shown(r["cpu_s"], " s"), shown(r["guest_private_mib"], " MiB"), r["guests_seen"], shown(r["peak_tree_mib"], " MiB")]
            for r in parts["guests"]["runs"]]))
    if "reports" in parts:
        part = parts["reports"]
        text.append(f"## Reports\n\nA synthetic record of {part['objects']} objects on {part['kernels']} kernels: that of a real run, copied with other names, numbers and offsets. Read and written by `corematrix report`, and opened in Chromium.\n")
        text.append(table(["read and written", "peak memory", "page", "opened"], [
            [shown(median(run["wall_s"] for run in part["written"]), " s"), shown(max(run["peak_rss_mib"] for run in part["written"]), " MiB"), shown(part["page_mib"], " MiB"), shown(part["opened_s"], " s")]]))
    return "\n".join(text)


# The plots: two panels of this size.
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 520, 320, 60, 40, 50
COLOURS = {"stock": "#b0413e", "cold": "#d9a441", "warm": "#3a7d44"}


class Panel:
    """A plot with its own axes. `y` maps a value to pixels."""

    def __init__(self, x, title, y):
        self.x, self.y, self.parts = x, y, []
        self.text(WIDTH / 2, 20, title, "middle", "bold")
        self.line(LEFT, HEIGHT - BOTTOM, WIDTH - 10, HEIGHT - BOTTOM, "#444")
        self.line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "#444")

    def text(self, x, y, text, anchor="start", weight="normal"):
        self.parts.append(f'<text x="{self.x + x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{text}</text>')

    def line(self, x1, y1, x2, y2, colour, dash=""):
        self.parts.append(f'<line x1="{self.x + x1:.1f}" y1="{y1:.1f}" x2="{self.x + x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-dasharray="{dash}"/>')

    def box(self, x, y, width, colour, title):
        height = max(HEIGHT - BOTTOM - y, 1)
        self.parts.append(f'<rect x="{self.x + x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"><title>{title}</title></rect>')

    def dot(self, x, y, colour, title):
        self.parts.append(f'<circle cx="{self.x + x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{title}</title></circle>')

    def tick(self, value, label):
        self.line(LEFT, self.y(value), WIDTH - 10, self.y(value), "#ddd")
        self.text(LEFT - 6, self.y(value) + 4, label, "end")


def starts(parts, x):
    """Seconds until a guest answers, on a logarithmic scale."""
    import math

    low, high = math.log10(0.05), math.log10(100)
    panel = Panel(x, "Seconds until a guest answers", lambda v: HEIGHT - BOTTOM - (math.log10(max(v, 0.05)) - low) / (high - low) * (HEIGHT - TOP - BOTTOM))
    for value in (0.1, 1, 10, 100):
        panel.tick(value, f"{value:g}")
    stock = stock_start(parts)
    warm_ones = {one["kernel"]: one for one in parts.get("warm", {}).get("kernels", [])}
    names = sorted({*stock, *warm_ones}, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    step = (WIDTH - LEFT - 20) / max(len(names), 1)
    for index, name in enumerate(names):
        one = warm_ones.get(name, {})
        values = {"stock": stock.get(name), "cold": one.get("cold_ms") and one["cold_ms"] / 1000, "warm": one.get("restore_ms") and one["restore_ms"] / 1000}
        left = LEFT + 6 + index * step
        for place, (kind, value) in enumerate(values.items()):
            if value:
                panel.box(left + place * step / 4, panel.y(value), step / 4 - 1, COLOURS[kind], f"{name} {kind}: {value:.2f} s")
        panel.text(left + step * 0.375, HEIGHT - BOTTOM + 16, name, "middle")
    for place, (kind, colour) in enumerate(COLOURS.items()):
        panel.parts.append(f'<rect x="{x + LEFT + place * 130}" y="{HEIGHT - 22}" width="10" height="10" fill="{colour}"/>')
        panel.text(LEFT + 15 + place * 130, HEIGHT - 13, {"stock": "stock vng", "cold": "cold", "warm": "warm"}[kind])
    return panel.parts


def grown(parts, x):
    """Wall time over cells, with a line through it."""
    runs = parts["growth"]["runs"]
    most, longest = max(run["cells"] for run in runs), max(run["wall_s"] for run in runs) * 1.1
    panel = Panel(x, "Wall time of a warm matrix", lambda v: HEIGHT - BOTTOM - v / longest * (HEIGHT - TOP - BOTTOM))
    across = lambda cells: LEFT + cells / most * (WIDTH - LEFT - 30)
    for quarter in range(5):
        panel.tick(longest * quarter / 4, f"{longest * quarter / 4:.3g} s")
        panel.text(across(most * quarter / 4), HEIGHT - BOTTOM + 16, f"{most * quarter / 4:.0f}", "middle")
    points = [(run["cells"], run["wall_s"]) for run in runs]
    if len(set(cells for cells, _ in points)) > 1:
        slope, offset = fit(points)
        start = max(0, -offset / slope if slope > 0 else 0)
        panel.line(across(start), panel.y(offset + slope * start), across(most), panel.y(offset + slope * most), "#888", "4 3")
    colours = {"kernels": "#7a5195", "objects": "#3a7d44"}
    for run in runs:
        panel.dot(across(run["cells"]), panel.y(run["wall_s"]), colours[run["with"]], f"{run['kernels']} kernels x {run['objects']} objects: {run['wall_s']:.1f} s")
    for place, (kind, colour) in enumerate(colours.items()):
        panel.dot(LEFT + 5 + place * 170, HEIGHT - 17, colour, kind)
        panel.text(LEFT + 15 + place * 170, HEIGHT - 13, f"cells, with more {kind}")
    return panel.parts


def plot(parts):
    panels = []
    if "boot" in parts or "warm" in parts:
        panels.append(starts)
    if "growth" in parts:
        panels.append(grown)
    body = [piece for place, panel in enumerate(panels) for piece in panel(parts, place * WIDTH)]
    width = WIDTH * max(len(panels), 1)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{width}" height="{HEIGHT}" fill="white"/>', *body, "</svg>"]) + "\n"


def everything(folder):
    folder = Path(folder)
    names = ["boot", "warm", "matrix", "evidence", "growth", "guests", "reports"]
    parts = {name: read(folder / f"{name}.json") for name in names if (folder / f"{name}.json").exists()}
    rows = goals(parts)
    write(folder / "results.json", json.dumps({"schema_version": 1, "goals": rows, "parts": parts}, indent=1) + "\n")
    write(folder / "results.md", markdown(parts, rows))
    write(folder / "plot.svg", plot(parts))


{"part": part, "all": everything, "origins": origins, "accel": lambda report: print(read(report)["tool"]["accel"])}[sys.argv[1]](*sys.argv[2:])
