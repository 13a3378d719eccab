"""What was measured against what it should be: rows of results.md."""
from statistics import fmean, median

# The setting that the goals are for.
FULL_KERNELS, FULL_OBJECTS = 8, 40
MANY_OBJECTS, MANY_KERNELS = 500, 40


def fit(points):
    """Slope and offset of a line through (x, y)."""
    mean_x, mean_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return slope, mean_y - slope * mean_x


def stock_start(parts):
    """Seconds of a stock `vng --run`, by kernel."""
    return {one["kernel"]: one["stock_s"] for one in parts.get("boot", {}).get("kernels", [])}


def loops(part):
    """Seconds of the two loops of stock virtme-ng for all kernels and objects, and for one object; extrapolated from the measured kernels."""
    per_kernel = part["stock"]
    isolated = fmean(sum(one["start_s"] + load["ms"] / 1000 for load in one["loads"]) for one in per_kernel)
    shared = fmean(one["wall_s"] for one in per_kernel)
    # `one` of bench.sh; when the scripts are tried out it may be missing.
    first = lambda loads: next((load for load in loads if load["object"] == "biosnoop"), loads[0])
    single = fmean(one["start_s"] + first(one["loads"])["ms"] / 1000 for one in per_kernel)
    return isolated * part["kernels"], shared * part["kernels"], single * part["kernels"]


def walls(part, kernels, objects):
    return [run["wall_s"] for run in part["runs"] if (run["kernels"], run["objects"]) == (kernels, objects)]


def goals(parts):
    """Rows of what, measured, goal, met or not; `None` where the setting is not that of the goal."""
    rows = []

    def row(what, value, unit, limit, least=False, applies=True):
        met = (value >= limit if least else value <= limit) if applies else None
        rows.append({"what": what, "value": round(value, 4), "unit": unit, "goal": limit, "least": least, "met": met})

    stock = stock_start(parts)
    if "boot" in parts:
        ratios = [one["hello_to_stock"] for one in parts["boot"]["kernels"]]
        row("cold: QEMU's start until the guest answers, part of stock `vng --run`, worst kernel", max(ratios), "", 0.2)
    if "warm" in parts:
        kernels = parts["warm"]["kernels"]
        full = len(kernels) >= FULL_KERNELS
        restore = median(one["restore_ms"] for one in kernels if one["restore_ms"] is not None)
        row(f"warm: restore until the guest answers, median over {len(kernels)} kernels", restore / 1000, "s", 0.06, applies=full)
        shares = [one["restore_ms"] / 1000 / stock[one["kernel"]] for one in kernels if one["restore_ms"] and one["kernel"] in stock]
        if shares:
            row(f"the same as part of stock `vng --run`, median over {len(shares)} kernels", 100 * median(shares), "%", 1.5)
        sizes = [one["snapshot_mib"] for one in kernels if one["snapshot_mib"]]
        if sizes:
            row("snapshot on disk, largest", max(sizes), "MiB", 70)
    if "matrix" in parts:
        part = parts["matrix"]
        kernels, objects = part["kernels"], part["objects"]
        full = (kernels, objects) == (FULL_KERNELS, FULL_OBJECTS)
        isolated, shared, single = loops(part)
        one, every, apart = (median(walls(part, "default", objects)) for objects in ("one", "all", "apart"))
        row(f"warm matrix: {kernels} kernels x 1 object of 5 programs (biosnoop: 5 fail on 3 kernels)", one, "s", 1.5, applies=kernels == FULL_KERNELS)
        # Parts that were measured before have none.
        if five := walls(part, "default", "five"):
            row("the same with one whose programs all load", median(five), "s", 1.5, applies=kernels == FULL_KERNELS)
        row("with biosnoop, against the loop of stock vng", single / one, "times faster", 50, True, kernels == FULL_KERNELS)
        row(f"warm matrix: {kernels} kernels x {objects} objects", every, "s", 40, applies=full)
        row("the same against a loop with one guest a kernel for all objects, without isolation", shared / every, "times faster", 7, True, full)
        # Parts that were measured before there was `--reuse` have none.
        if again := walls(part, "default", "again"):
            row("the same again with `--reuse`", median(again), "s", 2, applies=full)
        row("the same with `--isolation cell`", apart, "s", None, applies=False)
        row("with `--isolation cell`, against the loop of stock vng with a guest for each cell", isolated / apart, "times faster", 20, True, full)
    if "growth" in parts:
        runs = parts["growth"]["runs"]
        largest = max(runs, key=lambda run: run["cells"])
        cores = parts["growth"]["machine"]["cores"]
        full = largest["cells"] >= FULL_KERNELS * FULL_OBJECTS
        # The more objects share guests, the less time each takes: a straight line would be worse.
        if half := [run for run in runs if 2 * run["cells"] == largest["cells"]]:
            share = largest["wall_s"] / half[-1]["wall_s"] / 2
            row(f"growth: time of a cell, {largest['cells']} of them against {half[-1]['cells']}", share, "", 1, applies=full)
        busy = 100 * largest["cpu_s"] / largest["wall_s"] / cores
        row(f"growth: {cores} cores busy at {largest['kernels']} kernels x {largest['objects']} objects", busy, "%", 95, True, full)
        row("peak memory of the host process without QEMU", max(run["peak_rss_mib"] for run in runs), "MiB", 200, applies=full)
        if trees := [run["peak_tree_mib"] for run in runs if "peak_tree_mib" in run]:
            row("peak memory of the host process and its guests", max(trees), "MiB", 700, applies=full)
    if "guests" in parts:
        runs = parts["guests"]["runs"]
        most = max(runs, key=lambda run: run["jobs"])
        row(f"memory that a restored guest alone has, median, {most['jobs']} at once", most["guest_private_mib"], "MiB", 15)
    if "reports" in parts:
        part = parts["reports"]
        size, full = (part["objects"], part["kernels"]), (part["objects"], part["kernels"]) == (MANY_OBJECTS, MANY_KERNELS)
        row(f"reports of {size[0]} objects x {size[1]} kernels: read and written", median(run["wall_s"] for run in part["written"]), "s", 5, applies=full)
        row("the same: size of the page", part["page_mib"], "MiB", 12, applies=full)
        if part["opened_s"] is not None:
            row("the same: page opened in Chromium", part["opened_s"], "s", 2, applies=full)
    return rows
