# SPDX-License-Identifier: Apache-2.0
"""The figures of report/forecast_test.cc, from statsmodels and SciPy alone.

    python3 tests/reference/forecast.py

Prints every figure by the name it has in the test, and the versions that made it.
"""
import math

import scipy
import statsmodels
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.power import zt_ind_solve_power
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail


def level(correlation, alpha):
    """The two-sided level of one of two equally correlated comparisons that hold jointly."""
    shared, own = math.sqrt(correlation), math.sqrt(1 - correlation)

    def excess(c):
        def given(t):
            one = norm.cdf((c - shared * t) / own) - norm.cdf((-c - shared * t) / own)
            return norm.pdf(t) * one * one
        return 1 - quad(given, -9, 9, epsabs=1e-13, limit=200)[0] - alpha
    return 2 * norm.sf(brentq(excess, 1, 4, xtol=1e-12))


def proportions(p, lift, ratio, alpha, power):
    """Units of the control: pooled z test, treatment / control = ratio."""
    # The function's first sample is p + diff, and its ratio the second to the first.
    treatment = samplesize_proportions_2indep_onetail(
        p * lift, p, power, ratio=1 / ratio, alpha=alpha / 2, value=0, alternative="larger")
    return treatment / ratio


def means(sd, delta, ratio, alpha, power):
    return zt_ind_solve_power(effect_size=delta / sd, nobs1=None, alpha=alpha, power=power,
                              ratio=ratio, alternative="two-sided")


def main():
    print(f"# statsmodels {statsmodels.__version__}, scipy {scipy.__version__}")
    # One treatment, alpha 0.05, nothing spent on looking.
    n = proportions(0.12, 0.02, 1, 0.05, 0.8)
    print(f"pay_rate, 2% of 0.12, even: {n:.4f} units of each arm")
    n = proportions(0.12, 0.02, 3, 0.05, 0.9)
    print(f"pay_rate, 2% of 0.12, 1 : 3, power 0.9: {n:.4f} of the control")
    # Two treatments against one control: level of one comparison, at 0.05 and after looking.
    for alpha in (0.05, 0.04):
        print(f"level of one of two treatments, even, at {alpha}: {level(0.5, alpha):.8f}")
    n = proportions(0.12, 0.02, 1, level(0.5, 0.04), 0.8)
    print(f"pay_rate, three even arms, 0.04 at the end: {n:.4f} units of each arm")
    # Means: a lift of 2% of 40 with a standard deviation of 90, and with 30% of it explained.
    n = means(90, 0.8, 1, 0.05, 0.8)
    print(f"revenue, 2% of 40, sd 90: {n:.4f} units of each arm")
    n = means(90 * math.sqrt(0.7), 0.8, 1, 0.05, 0.8)
    print(f"revenue, 30% explained: {n:.4f} units of each arm")
    # What 50,000 units of each arm show.
    lift = brentq(lambda d: proportions(0.12, d, 1, 0.05, 0.8) - 50000, 1e-4, 1, xtol=1e-14)
    print(f"pay_rate, detectable with 50000 of each: {lift:.10f}")
    lift = brentq(lambda d: means(90, 40 * d, 1, 0.05, 0.8) - 50000, 1e-4, 1, xtol=1e-14)
    print(f"revenue, detectable with 50000 of each: {lift:.10f}")
    # A margin of 50% of 0.02, harm upwards, one-sided 0.025, no true difference: the contrast
    # treatment - 1.5 control has variance p (1 - p) (1 / n + 1.5^2 / n).
    v = 0.02 * 0.98 * (1 + 1.5 ** 2)
    n = ((norm.isf(0.025) + norm.isf(0.2)) / 0.01) ** 2 * v
    print(f"refund_rate, margin 50% of 0.02: {n:.4f} units of each arm")


if __name__ == "__main__":
    main()
