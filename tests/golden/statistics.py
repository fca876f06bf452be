"""Makes tests/golden/statistics.json: answers of SciPy and statsmodels for tests/statistics.rs.

Run:  python tests/golden/statistics.py > tests/golden/statistics.json

Nothing here shares code or formulas with src/stats where another way exists: Tango's interval maximises the likelihood
numerically, the design effect comes from a regression with cluster-robust errors.
"""

import json
import math

import numpy
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_power, normal_power_het
from statsmodels.stats.proportion import proportion_confint


def quantiles():
    for p in (0.5, 0.6, 0.9, 0.975, 0.995, 0.99975, 0.0125, 1e-6):
        yield {"kind": "normal", "p": p, "value": stats.norm.ppf(p)}
        for freedom in (1, 2, 5, 9, 47, 200, 999, 1000, 1500, 1e4, 1e6, 1e9):
            yield {"kind": "student", "p": p, "freedom": freedom, "value": stats.t.ppf(p, freedom)}


def intervals():
    for level in (0.95, 0.99, 0.9975):
        for x, n in ((0, 1), (1, 1), (0, 10), (10, 10), (1, 10), (3, 10), (7, 48), (120, 480), (479, 480), (1, 100000),
                     (50000, 100000), (99999, 100000)):
            for kind, method in (("wilson", "wilson"), ("clopper-pearson", "beta")):
                low, high = proportion_confint(x, n, alpha=1 - level, method=method)
                yield {"kind": kind, "x": x, "n": n, "level": level, "low": max(low, 0.0), "high": min(high, 1.0)}


def mcnemars():
    for b, c in ((0, 0), (1, 0), (0, 5), (3, 3), (9, 2), (12, 40), (200, 160), (1, 1000)):
        table = [[10, b], [c, 10]]
        yield {"b": b, "c": c, "p": 1.0 if b + c == 0 else float(mcnemar(table, exact=True).pvalue)}


def constrained(b, c, n, delta):
    """Log-likelihood of a trinomial (b, c, n - b - c) with p_b - p_c = delta, maximised over p_c; the maximiser."""
    low, high = max(0.0, -delta), (1.0 - delta) / 2.0
    def term(count, p):
        return 0.0 if count == 0 else (-math.inf if p <= 0 else count * math.log(p))
    def slope(q):
        # Derivative in q = p_c, increasing the discordant share by 2 dq.
        def ratio(count, p):
            return 0.0 if count == 0 else count / p
        return ratio(b, q + delta) + ratio(c, q) - 2 * ratio(n - b - c, 1 - delta - 2 * q)
    edge = 1e-15
    a, z = low + edge * max(1.0, low), high - edge
    if a >= z:
        return low
    if slope(a) <= 0:
        return low
    if slope(z) >= 0:
        return high
    return optimize.brentq(slope, a, z, xtol=1e-16, rtol=8.9e-16, maxiter=500)


def score(b, c, n, delta):
    q = constrained(b, c, n, delta)
    variance = n * (2 * q + delta - delta * delta)
    top = b - c - n * delta
    if top == 0:
        return 0.0
    return math.copysign(math.inf, top) if variance <= 0 else top / math.sqrt(variance)


def tangos():
    for level in (0.95, 0.99):
        z = stats.norm.ppf(0.5 + level / 2)
        for b, c, n in ((0, 0, 10), (0, 0, 48), (1, 0, 10), (0, 1, 10), (12, 2, 50), (2, 12, 50), (5, 5, 20), (10, 0, 10),
                        (0, 10, 10), (9, 0, 10), (40, 12, 400), (3, 1, 1000), (1, 0, 1)):
            point = (b - c) / n
            solve = lambda shift, left, right: optimize.brentq(
                lambda delta: max(-1e6, min(1e6, score(b, c, n, delta))) - shift, left, right, xtol=1e-14, rtol=8.9e-16)
            low = -1.0 if point <= -1 else solve(z, -1 + 1e-13, point)
            high = 1.0 if point >= 1 else solve(-z, point, 1 - 1e-13)
            yield {"b": b, "c": c, "n": n, "level": level, "low": low, "high": high}


def clusters():
    """Design effect by ordinary least squares on a constant with cluster-robust errors (CR1 without the (n-1)/(n-k)
    factor), over the classical variance of a mean; then Wilson at the effective size, all from statsmodels and SciPy."""
    random = numpy.random.default_rng(20)
    for clusters_count, size, mean, spread in ((12, 5, 0.4, 0.3), (48, 10, 0.25, 0.2), (30, 1, 0.5, 0.5), (20, 8, 0.9, 0.6),
                                               (100, 3, 0.05, 0.1)):
        sizes = random.integers(1, 2 * size, clusters_count) if size > 1 else numpy.ones(clusters_count, int)
        a, b = mean * (1 - spread) / spread, (1 - mean) * (1 - spread) / spread
        hits = random.binomial(sizes, random.beta(a, b, clusters_count))
        y = numpy.concatenate([numpy.r_[numpy.ones(h), numpy.zeros(s - h)] for h, s in zip(hits, sizes)])
        groups = numpy.repeat(numpy.arange(clusters_count), sizes)
        n = len(y)
        robust = sm.OLS(y, numpy.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
        variance = float(robust.cov_params()[0, 0]) * clusters_count / (clusters_count - 1)
        design = max(1.0, variance / (y.var(ddof=1) / n))
        level = 0.95
        known = stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, clusters_count - 1)
        effective = n / design * known**2
        low, high = proportion_confint(y.mean() * effective, effective, alpha=1 - level, method="wilson")
        none = proportion_confint(0, clusters_count, alpha=1 - level, method="beta")[1]
        yield {"hits": hits.tolist(), "sizes": sizes.tolist(), "level": level, "design": design, "point": y.mean(),
               "low": min(low, 1 - none), "high": max(high, none)}


def flips():
    random = numpy.random.default_rng(21)
    for k in (2, 5, 10, 14):
        d = random.integers(-3, 6, k).astype(float)
        result = stats.permutation_test((d,), lambda x, axis: numpy.sum(x, axis=axis), permutation_type="samples",
                                        n_resamples=numpy.inf, alternative="two-sided", vectorized=True)
        yield {"d": d.tolist(), "p": min(1.0, float(result.pvalue))}


def corrections():
    random = numpy.random.default_rng(22)
    for p in ([0.03], [0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.5], [1.0, 0.0], random.uniform(0, 1, 12).tolist(),
              (random.uniform(0, 1, 20) ** 3).tolist()):
        yield {"p": p, "holm": multipletests(p, method="holm")[1].tolist(),
               "benjamini-hochberg": multipletests(p, method="fdr_bh")[1].tolist()}


def detectable():
    """What a gate would find with a power of 0.8: statsmodels' power of the one-sample score test, solved for the rate; the
    same for a mean of known spread. The gate fails where the lower bound of a two-sided interval exceeds the limit, which is
    a one-sided test at half of alpha. Beside it the exact power at that rate, by the binomial distribution of the count."""
    power = 0.8
    for limit in (0.02, 0.1, 0.5, 0.9):
        for n in (37, 48, 400, 12345.6):
            for level in (0.95, 0.9975):
                def found(rate):
                    return normal_power_het(rate - limit, n, (1 - level) / 2, math.sqrt(limit * (1 - limit)),
                                            math.sqrt(rate * (1 - rate)), alternative="larger") - power
                if found(1 - 1e-9) < 0:
                    continue
                rate = optimize.brentq(found, limit, 1 - 1e-9, xtol=1e-14, rtol=8.9e-16)
                whole = int(n)
                low = proportion_confint(numpy.arange(whole + 1), whole, alpha=1 - level, method="wilson")[0]
                least = int(numpy.argmax(low > limit)) if (low > limit).any() else whole + 1
                yield {"kind": "rate", "limit": limit, "n": n, "level": level, "power": power, "value": rate,
                       "exact": stats.binom.sf(least - 1, whole, rate)}
    for n in (10, 48, 400):
        yield {"kind": "rate", "limit": 0.0, "n": n, "level": 0.95, "power": power, "exact": power,
               "value": optimize.brentq(lambda rate: stats.binom.sf(0, n, rate) - power, 1e-12, 1 - 1e-12, xtol=1e-15)}
    for limit, half, level in ((0.0, 0.1, 0.95), (3.0, 1.5, 0.95), (-0.05, 0.02, 0.99)):
        spread = half / stats.norm.ppf(0.5 + level / 2)
        effect = optimize.brentq(lambda d: normal_power(d / spread, 1, (1 - level) / 2, alternative="larger") - power, 0, 50 * half,
                                 xtol=1e-14, rtol=8.9e-16)
        yield {"kind": "number", "limit": limit, "half": half, "level": level, "power": power, "value": limit + effect}


def effective():
    """Trials whose Wilson interval has the width of a given one."""
    for rate, n, level in ((0.25, 97.3, 0.95), (0.0, 48, 0.95), (1.0, 31.5, 0.99), (0.61, 480, 0.9975), (0.02, 7, 0.95)):
        low, high = proportion_confint(rate * n, n, alpha=1 - level, method="wilson")
        yield {"point": rate, "low": low - 0.01, "high": high - 0.01, "level": level, "trials": n}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, numpy.generic) else value


print(json.dumps(plain({
    "made-with": {"numpy": numpy.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
    "quantiles": list(quantiles()),
    "intervals": list(intervals()),
    "mcnemar": list(mcnemars()),
    "tango": list(tangos()),
    "clusters": list(clusters()),
    "sign-flip": list(flips()),
    "corrections": list(corrections()),
    "detectable": list(detectable()),
    "effective": list(effective()),
}), indent=1))
