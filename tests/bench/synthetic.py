#!/usr/bin/env python3
"""Makes a large record of that of a real run: objects and kernels are copied, with other names, numbers and offsets.

    synthetic.py REPORT FOLDER OBJECTS KERNELS
"""
import copy
import json
import random
import sys
from pathlib import Path

# Relocations of fields further in than this move from copy to copy, as between releases of a kernel.
FIRST_TO_MOVE = 64


def named(name, copy_number, sign):
    return name if copy_number == 0 else f"{name}{sign}{copy_number}"


def copied_cell(cell, names, copy_number, chance):
    cell = copy.deepcopy(cell)
    cell["object"], cell["kernel"] = names
    cell["wall_ms"] = chance.randrange(100, 900)
    for program in cell["programs"]:
        program["load_ms"] = chance.randrange(1, 40)
        # The logs are those of the real run, and stay with it.
        program["log_file"] = None
        if statistics := program.get("statistics"):
            statistics["verification_time_us"] = chance.randrange(500, 20000)
            statistics["insns_processed"] += 3 * copy_number
            statistics["total_states"] += copy_number
    for one in cell["relocations"]:
        outcome = one["outcome"]
        if outcome.get("result") == "resolved" and outcome["old"] > FIRST_TO_MOVE:
            before, after = outcome["new"], outcome["new"] + 8 * copy_number
            outcome["new"] = after
            for candidate in one["candidates"]:
                candidate["spec"] = candidate["spec"].replace(f"offset {before})", f"offset {after})")
    return cell


def main(report, folder, objects, kernels):
    record = json.loads(Path(report).read_text(encoding="utf-8"))
    chance = random.Random(7)
    real_objects, real_kernels = record["objects"], record["kernels"]
    cells = {(cell["object"], cell["kernel"]): cell for cell in record["cells"]}

    def copies(real, count, sign):
        for number in range(count):
            round_, at = divmod(number, len(real))
            yield round_, real[at]["name"], {**real[at], "name": named(real[at]["name"], round_, sign)}

    record["objects"] = [one for _, _, one in copies(real_objects, objects, "-")]
    record["kernels"] = [one for _, _, one in copies(real_kernels, kernels, ".")]
    record["alternatives"] = []
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "report.json", "w", encoding="utf-8") as out:
        # The cells one by one: all of them take gigabytes here.
        head = {key: value for key, value in record.items() if key != "cells"}
        out.write(json.dumps(head)[:-1] + ', "cells": [')
        first = True
        for _, real_object, one in copies(real_objects, objects, "-"):
            for round_, real_kernel, kernel in copies(real_kernels, kernels, "."):
                cell = copied_cell(cells[real_object, real_kernel], (one["name"], kernel["name"]), round_, chance)
                out.write(("" if first else ",\n") + json.dumps(cell, separators=(",", ":")))
                first = False
        out.write("]}\n")


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
