"""compare.py EMULATED NAME=RECORD...: holds records of runs under KVM against an emulated one of the same kernels, cell by cell.

Everything that is judged counts: verdicts, causes, reasons, what the verifier counted, relocated values and their candidates, externs, sides
of guards. Times do not, nor the size of machine code, which depends on the processor. Each difference is a line; the last lines say how
much was compared. Ends with 1 on a difference, or where there was nothing to compare.
"""
import json
import re
import sys

TIMES = {"load_ms", "wall_ms", "verification_time_us", "jited_bytes", "notes", "log_file", "kernel_log"}


def facts(value, path=()):
    """Each single value with its place; times are left out."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in TIMES:
                yield from facts(part, path + (name,))
    elif isinstance(value, list):
        yield path + ("length",), len(value)
        for at, part in enumerate(value):
            yield from facts(part, path + (at,))
    elif isinstance(value, str):
        yield path, re.sub(r"verification time \d+ usec", "verification time", value)
    else:
        yield path, value


def cells(record):
    return {(cell["kernel"], cell["object"]): cell for cell in record["cells"]}


def main(emulated, *runs):
    read = lambda path: json.load(open(path))
    known = read(emulated)
    if known["tool"]["accel"] != "tcg":
        sys.exit(f"{emulated} was not emulated")
    expected, failed = cells(known), False
    for run in runs:
        name, path = run.split("=", 1)
        record = read(path)
        found, different, count = cells(record), [], dict.fromkeys(["cells", "programs", "values", "sides", "facts"], 0)
        if record["tool"]["accel"] != "kvm":
            different.append(f"ran under {record['tool']['accel']}")
        for missing in expected.keys() ^ found.keys():
            different.append(f"{missing} is in one of the runs only")
        for key in expected.keys() & found.keys():
            old, new = dict(facts(expected[key])), dict(facts(found[key]))
            programs = found[key]["programs"]
            for program in programs:
                if program["verdict"] == "not_run":
                    different.append(f"{key} {program['name']} was not run")
            count["cells"] += 1
            count["programs"] += len(programs)
            count["values"] += sum(1 for one in found[key]["relocations"] if one.get("outcome"))
            count["sides"] += 2 * len(found[key]["coverage"]["guards"])
            count["facts"] += len(old.keys() & new.keys())
            for place in sorted(old.keys() | new.keys(), key=str):
                if old.get(place) != new.get(place):
                    words = ".".join(map(str, place))
                    different.append(f"{key[0]} {key[1]} {words}: emulated {old.get(place)!r}, KVM {new.get(place)!r}")
        for line in different:
            print(f"DIFFERS: {name}: {line}")
        compared = ", ".join(f"{number} {what}" for what, number in count.items())
        print(f"{name} (QEMU {record['tool']['qemu']}): compared {compared}; {len(different)} differ")
        failed |= bool(different) or not all(count.values())
    sys.exit(failed or not runs)


main(*sys.argv[1:])
