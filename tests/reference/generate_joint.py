#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several answers of one experiment from raw rows: trend over days, funnel steps, slices, overlap,
ridge. Everything from raw data with NumPy and SciPy; nothing goes through a Gram matrix."""

import math

import numpy as np
from scipy import linalg, optimize, stats
from casefile import Cases, Minstd, gram

cases = Cases("generate_joint.py", "NumPy and SciPy on raw rows")
Z = stats.norm.isf(0.025)


def two_sided(z):
    return 2 * stats.norm.sf(abs(z))


def day_rows(seed, n, level, fade, days):
    """Units with a level of their own, so that their days are alike."""
    random = Minstd(seed)
    own = random.uniform(n)
    return np.column_stack([np.round(own + level + fade * d + 2 * random.uniform(n), 3)
                            for d in range(days)])


def trend(x, effect, covariance):
    """Weighted least squares by its normal equations, sandwich error from the joint covariance."""
    design = np.column_stack([np.ones(len(x)), x])
    weight = np.diag(1 / np.diag(covariance))
    bread = linalg.inv(design.T @ weight @ design)
    line = bread @ design.T @ weight @ effect
    error = bread @ design.T @ weight @ covariance @ weight @ design @ bread
    z = line[1] / math.sqrt(error[1, 1])
    return {"slope": line[1], "slope_se": math.sqrt(error[1, 1]), "z": z, "p": two_sided(z),
            "slope_lo": line[1] - Z * math.sqrt(error[1, 1]),
            "slope_hi": line[1] + Z * math.sqrt(error[1, 1]), "intercept": line[0]}


def novelty(t, c, days):
    effect = t.mean(0) - c.mean(0)
    covariance = np.cov(t.T) / len(t) + np.cov(c.T) / len(c)
    white = linalg.inv(covariance)
    one = np.ones(len(days))
    common = (one @ white @ effect) / (one @ white @ one)
    chi2 = (effect - common) @ white @ (effect - common)
    half = len(days) // 2
    weights = np.zeros(len(days))
    weights[:half], weights[len(days) - half:] = -1 / half, 1 / half
    gap, se = weights @ effect, math.sqrt(weights @ covariance @ weights)
    return {"effect": effect, "per_day": trend(days, effect, covariance),
            "per_log_day": trend(np.log1p(days), effect, covariance), "chi2_equal": chi2,
            "df_equal": len(days) - 1, "p_equal": stats.chi2.sf(chi2, len(days) - 1),
            "late_minus_early": gap, "late_minus_early_se": se,
            "late_minus_early_p": two_sided(gap / se)}


for name, fade, days, verdict in (("fading", -0.08, 7, "fading"), ("growing", 0.15, 6, "growing"),
                                  ("steady", 0.0, 5, "no_trend")):
    t, c = day_rows(21, 220, 0.6, fade, days), day_rows(22, 200, 0, 0, days)
    axis = np.arange(days, dtype=float)
    out = novelty(t, c, axis)
    out["verdict"] = verdict
    cases.add(f"novelty, {name}", "novelty_trend", {"treatment": gram(t), "control": gram(c)}, out)

cohorts, slopes = [], []
for k, days in enumerate((7, 4, 2)):
    t, c = day_rows(31 + k, 150, 0.5 + k, -0.05, days), day_rows(41 + k, 150, k, 0, days)
    cohorts.append({"treatment": gram(t), "control": gram(c)})
    slopes.append(novelty(t, c, np.arange(days, dtype=float))["per_day"])
weight = np.array([1 / s["slope_se"] ** 2 for s in slopes])
slope = np.array([s["slope"] for s in slopes])
joint = weight @ slope / weight.sum()
q = weight @ (slope - joint) ** 2
cases.add("novelty over three cohorts", "novelty_by_cohort", {"cohorts": cohorts},
          {"per_day": {"slope": joint, "slope_se": weight.sum() ** -0.5,
                       "p": two_sided(joint * weight.sum() ** 0.5)},
           "cohorts": [{"slope": s["slope"], "slope_se": s["slope_se"]} for s in slopes],
           "Q_slopes": q, "p_slopes": stats.chi2.sf(q, 2)})


def funnel_rows(seed, n, rates):
    u = Minstd(seed).uniform(n, len(rates))
    return np.cumprod(u < np.array(rates), axis=1).astype(float)


def step_terms(t, c):
    """log((p_k / p_k-1)_T / (p_k / p_k-1)_C): given who reached k-1, each is a plain log ratio of
    two binomials, with the textbook error sqrt((1 - a) / x_T + (1 - b) / x_C)."""
    out = []
    before = [len(t), len(c)]
    for k in range(t.shape[1]):
        now = [t[:, k].sum(), c[:, k].sum()]
        a, b = now[0] / before[0], now[1] / before[1]
        out.append({"log_lift": math.log(a / b),
                    "se": math.sqrt((1 - a) / now[0] * len(t) / (len(t) - 1)
                                    + (1 - b) / now[1] * len(c) / (len(c) - 1))})
        before = now
    return out


t, c = funnel_rows(51, 900, [0.6, 0.5, 0.7]), funnel_rows(52, 1000, [0.55, 0.5, 0.65])
steps = step_terms(t, c)
total = math.log(t[:, -1].mean() / c[:, -1].mean())
assert abs(sum(s["log_lift"] for s in steps) - total) < 1e-12
cases.add("funnel", "funnel_decomposition", {"treatment": gram(t), "control": gram(c)},
          {"steps": steps, "total": {"log_lift": total}}, rel=1e-7)


def cells(seed, means, n):
    random = Minstd(seed)
    return [[np.round(m + 3 * random.uniform(n + 5 * i + 3 * j), 3) for j, m in enumerate(row)]
            for i, row in enumerate(means)]


def interaction(table, rows, columns):
    """Wald test by the projection that removes rows and columns from the cell means."""
    mean = np.array([[x.mean() for x in row] for row in table]).ravel()
    variance = np.diag([x.var(ddof=1) / len(x) for row in table for x in row])
    contrast = np.kron(linalg.helmert(rows), linalg.helmert(columns))
    value = contrast @ mean
    chi2 = value @ linalg.solve(contrast @ variance @ contrast.T, value)
    return chi2, (rows - 1) * (columns - 1)


for name, means in (("2 x 2", [[1, 1.2], [1.3, 2.1]]),
                    ("3 x 2", [[1, 1.1], [1.4, 1.6], [1.2, 1.2]]),
                    ("3 x 3 without interaction", [[1, 2, 3], [1.5, 2.5, 3.5], [0, 1, 2]])):
    table = cells(61, means, 40)
    rows, columns = len(means), len(means[0])
    chi2, df = interaction(table, rows, columns)
    m = np.array([[x.mean() for x in row] for row in table])
    v = np.array([[x.var(ddof=1) / len(x) for x in row] for row in table])
    pairs = [{"a": i, "b": j, "diff": m[i, j] - m[i, 0] - m[0, j] + m[0, 0],
              "se": math.sqrt(v[i, j] + v[i, 0] + v[0, j] + v[0, 0])}
             for i in range(1, rows) for j in range(1, columns)]
    cases.add(f"overlap {name}", "factorial_interaction",
              {"cells": [[list(x) for x in row] for row in table]},
              {"chi2": chi2, "df": df, "p": stats.chi2.sf(chi2, df), "interactions": pairs,
               "main_a": [{"diff": (m[i] - m[0]).mean(),
                           "se": math.sqrt((v[i] + v[0]).sum()) / columns}
                          for i in range(1, rows)],
               "a_without_b": [{"diff": m[i, 0] - m[0, 0]} for i in range(1, rows)]})


def slices(parts):
    """Welch inside, DerSimonian-Laird between; the whole as the sum of its slices."""
    diff = np.array([t.mean() - c.mean() for t, c in parts])
    var = np.array([t.var(ddof=1) / len(t) + c.var(ddof=1) / len(c) for t, c in parts])
    w = 1 / var
    fixed = w @ diff / w.sum()
    q, k = w @ (diff - fixed) ** 2, len(parts)
    tau2 = max(0.0, (q - (k - 1)) / (w.sum() - (w ** 2).sum() / w.sum()))
    random = 1 / (var + tau2)
    mu = random @ diff / random.sum()
    shrunk = (diff * tau2 + mu * var) / (tau2 + var)
    sd = np.sqrt(var * tau2 / (var + tau2) + (var / (var + tau2)) ** 2 / random.sum())
    all_t, all_c = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    share = np.array([(len(t) / len(all_t) + len(c) / len(all_c)) / 2 for t, c in parts])
    each = 1 - 0.95 ** (1 / k)
    out = []
    p = [stats.ttest_ind(t, c, equal_var=False).pvalue for t, c in parts]
    order = np.argsort(p)
    holm, highest = [0.0] * k, 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, p[i] * (k - rank)))
        holm[i] = highest
    for i, (t, c) in enumerate(parts):
        a, b = t.var(ddof=1) / len(t), c.var(ddof=1) / len(c)
        df = (a + b) ** 2 / (a * a / (len(t) - 1) + b * b / (len(c) - 1))
        half = stats.t.isf(each / 2, df) * math.sqrt(var[i])
        out.append({"diff": diff[i], "p": p[i], "p_adjusted": holm[i], "ci_lo": diff[i] - half,
                    "ci_hi": diff[i] + half, "shrunk": shrunk[i], "shrunk_sd": sd[i],
                    "share": share[i], "contribution": share[i] * diff[i]})
    total = all_t.mean() - all_c.mean()
    return {"slices": out, "total": total, "mix": total - share @ diff, "stratified": share @ diff,
            "Q": q, "p_heterogeneity": stats.chi2.sf(q, k - 1), "tau2": tau2, "common": mu}


def part(seed, nt, nc, level, effect):
    random = Minstd(seed)
    return (np.round(level + effect + 2 * random.uniform(nt), 3),
            np.round(level + 2 * random.uniform(nc), 3))


for name, parts, simpson, may_name in (
        ("alike", [part(71 + i, 60 + 10 * i, 64, 1 + i, 0.3) for i in range(4)], "none", False),
        ("one differs", [part(75 + i, 80, 80, 1, 1.2 if i == 2 else 0) for i in range(3)], "none",
         True),
        ("reversed by the mix", [part(81, 20, 100, 10, 0.5), part(82, 100, 20, 0, 0.5)], "reversal",
         False)):
    out = slices(parts)
    out.update(simpson=simpson, may_name=may_name)
    cases.add(f"slices, {name}", "slice_analysis",
              {"slices": [{"treatment": list(t), "control": list(c)} for t, c in parts]}, out)


def ridge(y, x):
    """Penalty by leave-one-out's cheap cousin, from the hat matrix itself."""
    n = len(y)
    xc, yc = x - x.mean(0), y - y.mean()
    scale = np.sqrt((xc ** 2).sum(0))
    xs = xc / scale
    best = None
    for lam in [0.0] + [10 ** (-6 + 0.125 * s) for s in range(61)]:
        hat = np.full((n, n), 1 / n) + xs @ linalg.solve(xs.T @ xs + lam * np.eye(x.shape[1]), xs.T)
        left = y - hat @ y
        gcv = (left @ left) / (1 - np.trace(hat) / n) ** 2
        if best is None or gcv < best[0]:
            best = gcv, lam, np.trace(hat) - 1
    theta = linalg.solve(xs.T @ xs + best[1] * np.eye(x.shape[1]), xs.T @ yc) / scale
    return theta, best[1], best[2]


random = Minstd(91)
x = random.uniform(60, 6)
x[:, 5] = 0.9 * x[:, 4] + 0.1 * x[:, 5]
y = np.round(2 * x[:, 0] + 0.3 * x[:, 4] + 3 * random.uniform(60), 3)
arm = np.arange(60) % 2
y = y + 0.4 * arm
theta, lam, df = ridge(y, x)
adjusted = y - x @ theta
t, c = adjusted[arm == 1], adjusted[arm == 0]
cases.add("ridge of six covariates, two alike", "cuped_ridge",
          {"treatment": gram(np.column_stack([y, x])[arm == 1]),
           "control": gram(np.column_stack([y, x])[arm == 0])},
          {"theta": theta, "lambda": lam, "effective_df": df, "diff_adjusted": t.mean() - c.mean(),
           "se_adjusted": math.sqrt(t.var(ddof=1) / len(t) + c.var(ddof=1) / len(c))}, rel=1e-6)


def sequence_half(n, planned, alpha):
    """Waudby-Smith and others' asymptotic sequence, rho tuned for the planned end."""
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / planned)
    inner = (n * rho ** 2 + 1) / (n * rho) ** 2 * 2 * math.log(math.sqrt(n * rho ** 2 + 1) / alpha)
    return math.sqrt(n) * math.sqrt(inner)


cases.add("hybrid", "hybrid_bands",
          {"estimate": 0.4, "se": 0.1, "n": 3000, "n_planned": 10000},
          {"look_lo": 0.4 - 0.1 * sequence_half(3000, 10000, 0.01),
           "look_hi": 0.4 + 0.1 * sequence_half(3000, 10000, 0.01),
           "final_lo": 0.4 - 0.1 * stats.norm.isf(0.02),
           "final_hi": 0.4 + 0.1 * stats.norm.isf(0.02)})

phases = [{"observed": [510, 498, 0], "weights": [0.5, 0.5, 0]},
          {"observed": [210, 190, 620], "weights": [20, 20, 60]}]
expect = np.zeros(3)
for phase in phases:
    share = np.array(phase["weights"]) / sum(phase["weights"])
    expect += sum(phase["observed"]) * share
seen = np.sum([p["observed"] for p in phases], axis=0)
found = stats.chisquare(seen, expect)
cases.add("mismatch over two phases", "srm_phases", {"phases": phases},
          {"expected": expect, "chi2": found.statistic, "df": 2, "p": found.pvalue})
cases.print()
