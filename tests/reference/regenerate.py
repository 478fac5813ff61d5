#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the generators of this folder (SciPy, statsmodels and R, Debian's packages), which know
nothing of Fulcrum, and writes or checks the stored cases.

usage: regenerate.py [--check] [GENERATOR...]

Without --check it writes cases/NAME.json for generate_NAME.py or generate_NAME.R. With --check it
compares what a generator says now with what is stored, within each case's tolerance, and exits 77
(skipped) with a word where a package it needs is not installed."""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SKIP = 77


def run(generator):
    command = ["Rscript", "--vanilla"] if generator.suffix == ".R" else ["/usr/bin/python3"]
    try:
        done = subprocess.run(command + [str(generator)], capture_output=True, text=True,
                              timeout=280, check=False, cwd=HERE)
    except FileNotFoundError:
        print(f"skipped: {command[0]} is not installed")
        sys.exit(SKIP)
    if done.returncode == SKIP:
        print(done.stderr.strip() or done.stdout.strip())
        sys.exit(SKIP)
    if done.returncode != 0:
        sys.exit(f"{generator.name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def differences(stored, now, rel, absolute, path):
    if isinstance(stored, dict) and isinstance(now, dict) and stored.keys() == now.keys():
        for key in stored:
            yield from differences(stored[key], now[key], rel, absolute, f"{path}.{key}")
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for i, (a, b) in enumerate(zip(stored, now)):
            yield from differences(a, b, rel, absolute, f"{path}[{i}]")
    elif isinstance(stored, (int, float)) and isinstance(now, (int, float)):
        if abs(stored - now) > max(absolute, rel * abs(stored)):
            yield f"{path}: stored {stored}, generated {now}"
    elif stored != now:
        yield f"{path}: stored {stored}, generated {now}"


def check(generator):
    stored = json.loads((HERE / "cases" / f"{generator.stem.removeprefix('generate_')}.json")
                        .read_text())
    now = run(generator)
    old = {case["id"]: case for case in stored["cases"]}
    new = {case["id"]: case for case in now["cases"]}
    problems = [f"{name}: only stored" for name in old if name not in new]
    problems += [f"{name}: only generated" for name in new if name not in old]
    for name in old.keys() & new.keys():
        a, b = old[name], new[name]
        tolerance = a["tolerance"]
        problems += differences(a["expected"], b["expected"], tolerance["rel"], tolerance["abs"],
                                f"{name} expected")
        problems += differences(a["inputs"], b["inputs"], 1e-12, 1e-300, f"{name} inputs")
    for problem in problems[:20]:
        print(problem)
    print(f"{generator.name}: {len(new)} cases, {len(problems)} differences; "
          f"stored with {stored['versions']}, now {now['versions']}")
    return not problems


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    generators = [pathlib.Path(a).resolve() for a in arguments] or sorted(HERE.glob("generate_*"))
    if "--check" in sys.argv:
        sys.exit(0 if all([check(g) for g in generators]) else 1)
    for generator in generators:
        out = HERE / "cases" / f"{generator.stem.removeprefix('generate_')}.json"
        out.write_text(json.dumps(run(generator), indent=1) + "\n")
        print(f"wrote {out.name}")


main()
