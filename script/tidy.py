#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tree's own rules, as a test: every quoted include against the table in cmake/Layers.cmake,
file and line lengths, one SPDX line a file, no forbidden words, no unfinished markers.

Prints `file:line: what` for each breach and exits 1 if there is any."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_LINES = 700
MAX_COLUMNS = 100
CODE = {".cc", ".h", ".c", ".cmake", ".py", ".sh", ".ts", ".js", ".mjs"}
# Markers of unfinished work; spelled in pieces so that this file does not trip over itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")


def tracked_files():
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         cwd=ROOT, capture_output=True, check=True)
    return [p for p in out.stdout.decode().split("\0") if p and (ROOT / p).is_file()]


def layer_table():
    text = (ROOT / "cmake/Layers.cmake").read_text()
    return {m[1]: m[2].split() for m in re.finditer(r"set\(LAYER_(\w+)([^)]*)\)", text)}


def check(path, layers):
    text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    suffix = pathlib.Path(path).suffix
    script = path.startswith("script/") and suffix == ""
    if suffix not in CODE and not script and not path.endswith("CMakeLists.txt"):
        return
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:4]):
        yield 1, "the first lines lack 'SPDX-License-Identifier: Apache-2.0'"
    if suffix in CODE and len(lines) > MAX_LINES:
        yield len(lines), f"{len(lines)} lines; split the file (at most {MAX_LINES})"
    folder = path.split("/")[0]
    for number, line in enumerate(lines, 1):
        if suffix in {".cc", ".h"} and len(line) > MAX_COLUMNS and "http" not in line:
            yield number, f"{len(line)} columns (at most {MAX_COLUMNS})"
        if UNFINISHED.search(line):
            yield number, "an unfinished-work marker: finish it or file it"
        include = re.match(r'\s*#include "([^"]+)"', line)
        if include and folder in layers:
            target = include[1].split("/")[0]
            if "/" not in include[1]:
                yield number, f'include "{include[1]}" from the root: "{folder}/{include[1]}"'
            elif target in layers and target != folder and target not in layers[folder]:
                yield number, f"{folder}/ may not use {target}/ (cmake/Layers.cmake)"


def main():
    layers = layer_table()
    breaches = 0
    for path in tracked_files():
        for number, what in check(path, layers):
            print(f"{path}:{number}: {what}")
            breaches += 1
    print(f"tidy: {breaches} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
