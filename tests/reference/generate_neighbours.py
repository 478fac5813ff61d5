#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everyday methods at inputs off the beaten track (zero cells, one unit, huge counts, other alphas):
statsmodels and SciPy; the Miettinen-Nurminen interval from its definition, the constrained maximum
likelihood found numerically."""

import math
import sys
import warnings

import numpy as np
from scipy import optimize, stats
from casefile import Cases, Minstd

try:
    import statsmodels
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.power import TTestIndPower
    from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
except ImportError:
    print("skipped: statsmodels (python3-statsmodels) is not installed")
    sys.exit(77)
warnings.filterwarnings("ignore")
cases = Cases("generate_neighbours.py", "statsmodels, scipy.stats",
              statsmodels=statsmodels.__version__)

PAIRS = [(0, 10, 0, 12), (0, 10, 3, 12), (10, 10, 12, 12), (10, 10, 0, 12), (1, 10**6, 5, 10**6),
         (7, 34, 1, 34), (500, 1000, 480, 1010), (1, 2, 1, 3), (123456, 10**7, 123000, 10**7)]


def score_limits(x1, n1, x2, n2, alpha):
    """Where the score z of p1 - p2 = d, variance N / (N - 1) larger, reaches its quantile."""
    def z(d):
        lo, hi = max(0.0, -d), min(1.0, 1 - d)

        def loss(p):
            return -(stats.binom.logpmf(x1, n1, min(1, max(0, p + d)))
                     + stats.binom.logpmf(x2, n2, p))
        p2 = optimize.minimize_scalar(loss, bounds=(lo, hi), method="bounded",
                                      options={"xatol": 1e-12}).x
        p1 = p2 + d
        variance = (p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2) * (n1 + n2) / (n1 + n2 - 1)
        return (x1 / n1 - x2 / n2 - d) / math.sqrt(variance)

    q, e = stats.norm.isf(alpha / 2), x1 / n1 - x2 / n2
    return (optimize.brentq(lambda d: z(d) - q, -0.9999999, e),
            optimize.brentq(lambda d: z(d) + q, e, 0.9999999))


for x1, n1, x2, n2 in PAIRS:
    name = f"{x1}/{n1} against {x2}/{n2}"
    for alpha in (0.01, 0.1):
        inputs = {"x1": x1, "n1": n1, "x2": x2, "n2": n2, "alpha": alpha}
        for method, key in (("newcombe_hybrid_score", "newcomb"),
                            ("agresti_caffo", "agresti-caffo")):
            lo, hi = confint_proportions_2indep(x1, n1, x2, n2, method=key, compare="diff",
                                                alpha=alpha)
            cases.add(f"{method} {name} at {alpha}", method, inputs, {"lo": lo, "hi": hi},
                      absolute=1e-9)
    table = [[x1, n1 - x1], [x2, n2 - x2]]
    expected = {"p_two_sided": stats.fisher_exact(table)[1],
                "p_greater": stats.fisher_exact(table, alternative="greater")[1],
                "p_less": stats.fisher_exact(table, alternative="less")[1]}
    if 0 < x1 < n1 and n1 < 5000:
        expected["odds_ratio"] = stats.fisher_exact(table)[0]
        expected["odds_ratio_conditional"] = stats.contingency.odds_ratio(table).statistic
    cases.add(f"Fisher {name}", "fisher_exact", {"table": table}, expected, rel=1e-6)
for x1, n1, x2, n2, alpha in ((7, 34, 1, 34, 0.1), (1, 2, 1, 3, 0.1), (2, 10, 3, 12, 0.02),
                              (500, 1000, 480, 1010, 0.01)):
    lo, hi = score_limits(x1, n1, x2, n2, alpha)
    cases.add(f"Miettinen-Nurminen {x1}/{n1} against {x2}/{n2}", "miettinen_nurminen_score",
              {"x1": x1, "n1": n1, "x2": x2, "n2": n2, "alpha": alpha}, {"lo": lo, "hi": hi},
              rel=0, absolute=2e-6)
for x, n in ((0, 10), (10, 10), (1, 1), (3, 10**9), (50, 100)):
    lo, hi = proportion_confint(x, n, 0.2, "wilson")
    low, high = proportion_confint(x, n, 0.2, "beta")
    cases.add(f"one proportion {x}/{n}", "single_proportion_intervals",
              {"x": x, "n": n, "alpha": 0.2},
              {"wilson_lo": lo, "wilson_hi": hi, "cp_lo": 0.0 if x == 0 else low,
               "cp_hi": 1.0 if x == n else high}, rel=1e-7)
for t in ([[10, 20, 30], [6, 9, 17]], [[0, 5], [3, 2]], [[1, 2], [3, 4], [5, 6]]):
    chi2, p, df, _ = stats.chi2_contingency(t, correction=False)
    cases.add(f"table {t}", "chi_square_homogeneity", {"table": t},
              {"chi2": chi2, "p": p, "df": df})
for x1, t1, x2, t2 in ((0, 10, 5, 10), (5, 10, 0, 10), (100, 5.5, 80, 4.5)):
    cases.add(f"rates {x1} and {x2}", "poisson_rate_ratio_exact",
              {"x1": x1, "t1": t1, "x2": x2, "t2": t2},
              {"p_two_sided": stats.binomtest(x1, x1 + x2, t1 / (t1 + t2)).pvalue}, rel=1e-7)

ADJUST = {"bonferroni": "bonferroni", "sidak": "sidak", "holm": "holm", "holm_sidak": "holm-sidak",
          "hommel": "hommel", "hochberg": "simes-hochberg", "bh": "fdr_bh", "by": "fdr_by"}
source = Minstd(5)
for p in ([0.03], list(source.uniform(7) ** 3), list(source.uniform(30) ** 2),
          [0.01, 0.01, 0.01, 0, 1]):
    cases.add(f"{len(p)} p-values, first {p[0]:.3f}", "adjusted_p_values", {"p": p},
              {ours: multipletests(p, method=theirs)[1] for ours, theirs in ADJUST.items()})


def values(n, spread):
    return list(np.round(spread * source.uniform(n) + source.uniform(n), 7))


for n1, n2 in ((2, 2), (3, 50), (40, 9)):
    a, b = values(n1, 1), values(n2, 3)
    test = stats.ttest_ind(a, b, equal_var=False)
    cases.add(f"Welch {n1} and {n2}", "welch_t_raw", {"treatment": a, "control": b},
              {"t": test.statistic, "p_two_sided": test.pvalue,
               "p_greater": stats.ttest_ind(a, b, equal_var=False, alternative="greater").pvalue})
    for trim in (0.0, 0.2):
        yuen = stats.ttest_ind(a, b, equal_var=False, trim=trim)
        if n1 * (1 - 2 * trim) > 2:
            cases.add(f"Yuen {n1} and {n2}, {trim}", "yuen_trimmed_t",
                      {"treatment": a, "control": b, "trim": trim},
                      {"t": yuen.statistic, "p": yuen.pvalue})
    exact = stats.mannwhitneyu(a, b, method="exact")
    plain = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=False)
    cases.add(f"ranks {n1} and {n2}", "mann_whitney", {"x": a, "y": b},
              {"U": exact.statistic, "p_exact_two_sided": exact.pvalue,
               "p_exact_greater": stats.mannwhitneyu(a, b, method="exact",
                                                     alternative="greater").pvalue,
               "p_normal_two_sided": plain.pvalue})
    far = stats.ks_2samp(a, b, method="exact")
    cases.add(f"Smirnov {n1} and {n2}", "kolmogorov_smirnov_two_sample", {"x": a, "y": b},
              {"D": far.statistic, "p_exact": far.pvalue}, rel=1e-7)
for delta, power, alpha in ((1.0, 0.9, 0.05), (3.0, 0.9, 0.05), (0.2, 0.5, 0.01)):
    cases.add(f"plan a mean shift of {delta}", "sample_size_two_means",
              {"delta": delta, "sd": 1, "power": power, "alpha": alpha, "sides": 2},
              {"n_t": TTestIndPower().solve_power(delta, alpha=alpha, power=power)}, rel=1e-6)
    cases.add(f"power of {delta} at 7 a group", "power_two_means_t",
              {"n_per_group": 7, "delta": delta, "sd": 1, "alpha": alpha},
              {"power_strict": TTestIndPower().power(delta, 7, alpha)}, rel=1e-7)
cases.print()
