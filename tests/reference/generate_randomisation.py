#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Randomisation inference by brute force: every assignment listed, the p-value of each hypothetical
effect counted, and the interval found by bisection on that p-value."""

import itertools

import numpy as np
from casefile import Cases, Minstd

cases = Cases("generate_randomisation.py", "enumeration of every assignment, bisection for limits")


def assignments(treated, stratum):
    """All label vectors with the observed numbers inside each stratum."""
    parts = []
    for s in sorted(set(stratum)):
        where = np.flatnonzero(stratum == s)
        parts.append([(where, c) for c in
                      itertools.combinations(range(len(where)), int(treated[where].sum()))])
    for choice in itertools.product(*parts):
        labels = np.zeros(len(treated))
        for where, chosen in choice:
            labels[where[list(chosen)]] = 1
        yield labels


def statistic(size, total, labels, stratum):
    value = 0
    for s in set(stratum):
        own = stratum == s
        t, c = own & (labels == 1), own & (labels == 0)
        value += size[own].sum() / size.sum() * (
            total[t].sum() / size[t].sum() - total[c].sum() / size[c].sum())
    return value


def p_value(size, total, treated, stratum, every, tau, side=0):
    null = total - tau * size * treated
    seen = statistic(size, null, treated, stratum)
    values = np.array([statistic(size, null, labels, stratum) for labels in every])
    tie = 1e-9 * np.abs(values).max()
    if side == 0:
        return np.mean(np.abs(values) >= abs(seen) - tie)
    return np.mean(values >= seen - tie) if side > 0 else np.mean(values <= seen + tie)


def limit(size, total, treated, stratum, every, alpha, direction):
    centre = statistic(size, total, treated, stratum)

    def kept(tau):
        return p_value(size, total, treated, stratum, every, tau) > alpha

    far = centre + direction * 1e4
    if kept(far):
        return direction * np.inf
    near = centre
    for _ in range(80):
        middle = 0.5 * (near + far)
        near, far = (middle, far) if kept(middle) else (near, middle)
    return near


def world(seed, treated, stratum, equal):
    random = Minstd(seed)
    n = len(treated)
    size = np.full(n, 10.0) if equal else np.floor(3 + 20 * random.uniform(n))
    total = np.round(size * (2 + random.uniform(n) + 0.8 * treated), 2)
    return size, total


SETTINGS = {
    "eight clusters, unequal sizes": ([1, 0, 1, 0, 1, 0, 1, 0], [0] * 8, False, 0.05),
    "nine blocks, four treated, equal sizes": ([1, 0, 1, 0, 1, 0, 1, 0, 0], [0] * 9, True, 0.1),
    "two strata": ([1, 0, 0, 1, 0, 1, 1, 0, 0, 1], [0] * 4 + [1] * 6, False, 0.05),
    "five pairs": ([1, 0] * 5, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4], False, 0.1),
    "four clusters cannot reject at 5%": ([1, 0, 1, 0], [0] * 4, False, 0.05),
}
for number, (name, (treated, stratum, equal, alpha)) in enumerate(SETTINGS.items()):
    treated, stratum = np.array(treated, float), np.array(stratum)
    size, total = world(101 + number, treated, stratum, equal)
    every = list(assignments(treated, stratum))
    lo, hi = (limit(size, total, treated, stratum, every, alpha, d) for d in (-1, 1))
    cases.add(name, "randomisation_test",
              {"size": size, "sum": total, "treated": treated, "stratum": stratum, "alpha": alpha},
              {"diff": statistic(size, total, treated, stratum),
               "p_two_sided": p_value(size, total, treated, stratum, every, 0),
               "p_greater": p_value(size, total, treated, stratum, every, 0, 1),
               "p_less": p_value(size, total, treated, stratum, every, 0, -1),
               "ci_lo": lo, "ci_hi": hi, "assignments": len(every), "exact": True}, rel=1e-7)
cases.print()
