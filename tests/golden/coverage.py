"""Simulated coverage of the intervals of src/stats over clusters, beside the plain ones: why they have a floor.

Run:  python tests/golden/coverage.py

Prints, for beta-binomial clusters, how often a 95 % interval misses the truth on the side that would let a model pass (the
truth above the upper bound); 2.5 % is nominal. `plain` is Wilson at n / max(1, design effect), `freedom` also pays
for few clusters (Korn and Graubard 1998), `floor` is what the program uses. For a difference, Tango stands at the effective
size of `freedom`; `+floor` is what the program uses; the bootstrap has expanded percentiles, and the program never takes
it narrower than Tango's.
"""

import numpy as np
from scipy import stats

random = np.random.default_rng(1)
Z = stats.norm.ppf(0.975)


def wilson_high(p, n):
    return (p + Z * Z / (2 * n) + Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))) / (1 + Z * Z / n)


def tango_high(b, n):
    """Upper bound of Tango's interval for b first-only and no second-only pairs in n, by bisection."""
    def score(x):
        linear = (2 * n - b) * x - b
        second = np.where(linear > 0, 0.0, -linear / (2 * n))
        with np.errstate(divide="ignore", invalid="ignore"):
            return n * (b / n - x) / np.sqrt(np.maximum(n * (2 * second + x * (1 - x)), 0))
    low, high = b / n, np.ones_like(b / n)
    for _ in range(60):
        middle = (low + high) / 2
        above = score(middle) > -Z
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def row(clusters, size, rate, correlation, runs=2000):
    spread = (1 - correlation) / correlation
    y = random.binomial(size, random.beta(rate * spread, (1 - rate) * spread, (runs, clusters)))
    n = clusters * size
    p = y.sum(axis=1) / n
    variance = clusters / (clusters - 1) * ((y - p[:, None] * size) ** 2).sum(axis=1) / n**2
    with np.errstate(divide="ignore", invalid="ignore"):
        design = np.where((p > 0) & (p < 1), np.maximum(1, variance / (p * (1 - p) / (n - 1))), n / clusters)
    freedom = (stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, clusters - 1)) ** 2
    edge = (p == 0) | (p == 1)
    floor, tango_floor = 1 - 0.025 ** (1 / clusters), Z * Z / (clusters + Z * Z)
    plain = np.where(edge, np.where(p == 0, floor, 1), wilson_high(p, n / design))
    paid = np.where(edge, plain, wilson_high(p, n / design * freedom))
    size_of = np.where(edge, clusters, n / design * freedom)
    tango = tango_high(p * size_of, size_of)
    means = y @ random.multinomial(clusters, [1 / clusters] * clusters, size=1999).T / n
    tail = stats.norm.cdf(np.sqrt(clusters / (clusters - 1)) * stats.t.ppf(0.975, clusters - 1))
    bootstrap = np.where(np.ptp(means, axis=1) == 0, tango, np.quantile(means, tail, axis=1))
    miss = lambda high: f"{100 * np.mean(high < rate - 1e-12):8.1f}"
    return [miss(high) for high in (plain, paid, np.maximum(paid, floor), tango, np.maximum(tango, tango_floor), bootstrap,
                                    np.maximum(np.maximum(bootstrap, tango), tango_floor))]


print("truth above the interval, %          rate:   plain  freedom    floor  | difference: Tango  +floor  bootstrap  wider of both")
for clusters in (10, 20, 48, 100):
    for size in (4, 10):
        for rate in (0.01, 0.03, 0.1, 0.3):
            for correlation in (0.05, 0.3, 0.7):
                print(f"{clusters:4} clusters of {size:2}, rate {rate:4}, ICC {correlation:4}", *row(clusters, size, rate, correlation))
