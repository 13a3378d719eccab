#!/usr/bin/env python3
"""Draws the table of a run as SVG: the text on standard input, the picture on standard output.

    corematrix report latest | sed -n '/ 5.10 /,/^Fallback/p' | docs/images/terminal.py "corematrix run ..." > docs/images/run.svg
"""
import re
import sys
from html import escape

TEXT, GREY, GREEN, YELLOW, RED = "#cdd9e5", "#768390", "#57ab5a", "#c69026", "#f47067"
# The verdicts of a row, behind two blanks at least.
VERDICTS = [(r"(?<=  )ok !(?=  |$)", YELLOW), (r"(?<=  )ok(?=  |$)", GREEN),
            (r"(?<=  )(?:reloc|attach|target|reject|map|type|open|nobtf|run|exit|FAIL|NONE|CRASH|TIME)(?=  |$)", RED)]
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
WIDTH, HEIGHT, MARGIN = 7.83, 18, 16


def pieces(line):
    """The line as (column, text, colour)."""
    if line.startswith("$ "):
        return [(0, "$", GREY), (2, line[2:], TEXT)]
    if set(line) == {"─"}:
        return [(0, line, GREY)]
    if not re.match(r"  \w+  ", line):
        return [(match.start(), match[0], TEXT) for match in re.finditer(r"\S+(?: \S+)*", line)]
    found = [(match.start(), match[0], colour) for verdict, colour in VERDICTS for match in re.finditer(verdict, line)]
    name = re.match(r"  (\w+)", line)
    return [(2, name[1], TEXT)] + found


def main():
    lines = ["$ " + sys.argv[1], ""] if len(sys.argv) > 1 else []
    lines += sys.stdin.read().rstrip("\n").split("\n")
    width = round(max(map(len, lines)) * WIDTH + 2 * MARGIN)
    height = len(lines) * HEIGHT + 2 * MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
          f'font-family="{FONT}" font-size="13">')
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#1c2128"/>')
    for row, line in enumerate(lines):
        for column, text, colour in pieces(line):
            # The length is given, so that columns stand under each other in any font.
            print(f'<text x="{MARGIN + column * WIDTH:.1f}" y="{MARGIN + row * HEIGHT + 13}" fill="{colour}" '
                  f'textLength="{len(text) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>')
    print("</svg>")


main()
