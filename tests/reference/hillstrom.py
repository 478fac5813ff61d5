#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds `fulcrum analyze` on a real three-arm experiment against SciPy, within 1e-9 relative:
differences, pooled z and p, unpooled interval (proportions), Welch standard error, degrees of
freedom, t and p (means), arm sizes and the sample-ratio mismatch p-value.

usage: hillstrom.py FULCRUM; exits 77 (skipped) with a word where the data or SciPy is absent."""

import csv
import json
import math
import pathlib
import subprocess
import sys

DATA = pathlib.Path("../shared/data/hillstrom.csv")
CONTROL = "No E-Mail"
TOLERANCE = 1e-9


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


if not DATA.exists():
    skip(f"{DATA} is not beside this checkout")
try:
    import numpy as np
    from scipy import stats
except ImportError:
    skip("SciPy (Debian's python3-scipy) is not installed")


def expected():
    arms = {}
    with DATA.open(newline="") as file:
        for row in csv.DictReader(file):
            arms.setdefault(row["segment"], []).append(
                (float(row["visit"]), float(row["conversion"]), float(row["spend"])))
    arms = {key: np.array(rows) for key, rows in arms.items()}
    out = {"arms": {key: len(rows) for key, rows in arms.items()}, "metrics": {}}
    sizes = list(out["arms"].values())
    out["srm_p"] = stats.chisquare(sizes).pvalue
    control = arms[CONTROL]
    for arm, rows in arms.items():
        if arm == CONTROL:
            continue
        for column, metric in enumerate(("visit", "conversion")):
            out["metrics"][metric, arm] = proportions(rows[:, column], control[:, column])
        out["metrics"]["spend", arm] = means(rows[:, 2], control[:, 2])
    return out


def proportions(treatment, control):
    x1, n1, x0, n0 = treatment.sum(), len(treatment), control.sum(), len(control)
    p1, p0, pooled = x1 / n1, x0 / n0, (x1 + x0) / (n1 + n0)
    se_pooled = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n0))
    se = math.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)
    z = (p1 - p0) / se_pooled
    q = stats.norm.isf(0.025)
    return {"diff": p1 - p0, "se_pooled": se_pooled, "z_pooled": z,
            "p_pooled": 2 * stats.norm.sf(abs(z)), "se_unpooled": se,
            "wald_lo": p1 - p0 - q * se, "wald_hi": p1 - p0 + q * se}


def means(treatment, control):
    test = stats.ttest_ind(treatment, control, equal_var=False)
    v1, v0 = treatment.var(ddof=1) / len(treatment), control.var(ddof=1) / len(control)
    df = (v1 + v0) ** 2 / (v1 ** 2 / (len(treatment) - 1) + v0 ** 2 / (len(control) - 1))
    se, q = math.sqrt(v1 + v0), stats.t.isf(0.025, df)
    diff = treatment.mean() - control.mean()
    return {"diff": diff, "se": se, "df": df, "t": test.statistic, "p_two_sided": test.pvalue,
            "ci_lo": diff - q * se, "ci_hi": diff + q * se}


def main():
    run = subprocess.run([sys.argv[1], "analyze", "examples/hillstrom.yaml", "--input", str(DATA),
                          "--format", "json"], capture_output=True, text=True, check=True)
    report, want, failures, checked = json.loads(run.stdout), expected(), [], 0

    def compare(name, got, value):
        nonlocal checked
        checked += 1
        if got is None or abs(got - value) > TOLERANCE * abs(value):
            failures.append(f"{name}: got {got}, SciPy {value}")

    for arm in report["arms"]:
        compare(f"units of {arm['key']}", arm["units"], want["arms"][arm["key"]])
    compare("mismatch p", report["health"]["srm"]["p"], want["srm_p"])
    for metric in report["metrics"]:
        for comparison in metric["comparisons"]:
            for field, value in want["metrics"].pop((metric["key"], comparison["arm"])).items():
                compare(f"{metric['key']} {comparison['arm']} {field}", comparison[field], value)
    failures += [f"{key} is not in the report" for key in want["metrics"]]
    print("\n".join(failures) or f"{checked} figures within {TOLERANCE} of SciPy")
    return 1 if failures else 0


sys.exit(main())
