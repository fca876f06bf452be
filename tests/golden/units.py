"""Makes tests/golden/units.json: answers of NumPy, SciPy and statsmodels for tests/units.rs and tests/dose.rs.

Run:  python tests/golden/units.py > tests/golden/units.json

Nothing here shares code with src/measure: effects come from arrays held whole, tests from SciPy, the slope from least
squares with a dummy variable per cluster, all assignments of signs are written out.
"""

import hashlib
import json

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import stats

SEED, ID = 7, "m"


def digest(parts):
    """SHA-256 over parts, each after its length in 8 bytes."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return hasher.hexdigest()


def units():
    """24 pictures, one to four words each, 12 units: unit 5 rises with the word, unit 8 falls, unit 7 never changes,
    unit 2 moves with any paint, unit 3 is large. Multiples of 1/64, so that f32 holds them exactly."""
    random = np.random.default_rng(30)
    grid = lambda values: np.round(values * 64) / 64
    clusters = []
    for place in range(24):
        pairs = random.integers(1, 5)
        clean = grid(random.normal(0, 1, 12) + 9 * (np.arange(12) == 3))
        paint = grid(random.normal(0, 0.3, (pairs, 12)) + 2.0 * (np.arange(12) == 2))
        word = grid(random.normal(0, 0.3, (pairs, 12)) + 0.9 * (np.arange(12) == 5) - 0.6 * (np.arange(12) == 8))
        control = clean + paint
        attacked = control + word
        for values in (clean, control, attacked):
            values[..., 7] = 0.25
        clusters.append({"name": f"picture {place}", "clean": clean, "control": control, "attacked": attacked})

    order = sorted(clusters, key=lambda one: digest([str(SEED), ID, "halves", one["name"]]))
    deviation = np.stack([one["clean"] for one in clusters]).std(axis=0, ddof=1)
    kept = np.flatnonzero(deviation > 0)
    effect = lambda one: ((one["attacked"] - one["control"]).mean(axis=0) / np.where(deviation > 0, deviation, 1))[kept]
    selection, reporting = (np.stack([effect(one) for one in half]) for half in (order[:12], order[12:]))

    test = stats.ttest_1samp(reporting, 0)
    low, high = stats.t.interval(0.95, 11, reporting.mean(axis=0), stats.sem(reporting))
    signs = 1 - 2 * ((np.arange(2**12)[:, None] >> np.arange(12)) & 1)
    scaled = reporting / np.sqrt((reporting**2).sum(axis=0))
    maxima = np.abs(signs @ scaled).max(axis=1)
    observed = np.abs(scaled.sum(axis=0))
    top = np.argsort(-np.abs(selection.mean(axis=0)), kind="stable")[:4]
    norms = np.sqrt((np.stack([one["clean"] for one in clusters]) ** 2).mean(axis=0))[kept]
    largest = np.argsort(-norms, kind="stable")[:4]
    direction = np.where(selection.mean(axis=0) < 0, -1, 1)
    together = lambda places: (direction[places] * reporting[:, places]).mean(axis=1)
    summary = lambda values: [values.mean(), *stats.t.interval(0.95, 11, values.mean(), stats.sem(values))]
    each = 1 - 0.05 / len(kept)
    wide = stats.t.interval(each, 11, reporting.mean(axis=0), stats.sem(reporting))
    p = (maxima[:, None] >= observed - 1e-12).mean(axis=0)
    least = 0.2
    return {
        "clusters": clusters,
        "reporting": [one["name"] for one in order[12:]],
        "pairs": sum(len(one["attacked"]) for one in order[12:]),
        "chosen": [{"unit": kept[u], "selection": selection.mean(axis=0)[u], "point": reporting.mean(axis=0)[u],
                    "low": low[u], "high": high[u], "t": test.statistic[u], "p": test.pvalue[u],
                    "q": stats.false_discovery_control(test.pvalue)[u], "family-wise": p[u]} for u in top],
        "selected": summary(together(top)),
        "largest-norm": summary(together(largest)),
        "driven": [((p <= 0.05) & (np.abs(reporting.mean(axis=0)) >= least)).sum(),
                   ((wide[0] > least) | (wide[1] < -least)).sum(), ((wide[1] >= least) | (wide[0] <= -least)).sum()],
    }


def dose():
    """14 pictures with two words at four unevenly spaced sizes, the chance of success growing with size; one picture was
    the target already, and at one size of one picture there is no probe."""
    random = np.random.default_rng(31)
    sizes = [0.1, 0.14, 0.2, 0.4]
    rows = []
    for picture in range(15):
        ease = random.uniform(-0.15, 0.15)
        for word in range(2):
            for level, size in enumerate(sizes):
                if (picture, level) != (3, 1):
                    success = bool(random.uniform() < [0.1, 0.3, 0.65, 0.9][level] + ease)
                    rows.append({"picture": f"picture {picture}", "word": f"word {word}", "size": str(size),
                                 "already": picture == 14, "success": success})
    used = [row for row in rows if not row["already"]]
    names = sorted({row["picture"] for row in used})
    x = np.array([float(row["size"]) for row in used])
    rank = np.array([sizes.index(float(row["size"])) for row in used], dtype=float)
    y = np.array([row["success"] for row in used], dtype=float)
    groups = np.array([names.index(row["picture"]) for row in used])
    dummies = (groups[:, None] == np.arange(len(names))).astype(float)
    slope = sm.OLS(y, np.column_stack([x, dummies])).fit().params[0]

    within = lambda values: values - np.array([values[groups == group].mean() for group in groups])
    sums = lambda values: np.array([values[groups == group].sum() for group in range(len(names))])
    trend = sums(within(rank) * y)
    exact = lambda values: float(stats.permutation_test((values,), np.sum, permutation_type="samples", vectorized=False,
                                                        n_resamples=np.inf, alternative="two-sided").pvalue)
    products, squares = sums(within(x) * y), sums(within(x) ** 2)
    drawn = random.integers(0, len(names), (99_999, len(names)))
    draws = products[drawn].sum(axis=1) / squares[drawn].sum(axis=1)
    k = len(names)
    tail = stats.norm.cdf(-np.sqrt(k / (k - 1)) * stats.t.ppf(0.975, k - 1))
    rise = sums(y * ((x == 0.4).astype(float) - (x == 0.1)))
    return {"rows": rows, "slope": slope, "bootstrap": np.quantile(draws, [tail, 1 - tail]), "trend": trend.sum(),
            "trend-p": exact(trend), "rise": rise.sum() / (2 * k), "rise-p": exact(rise), "n": len(used), "clusters": k}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


print(json.dumps(plain({
    "made-with": {"numpy": np.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
    "units": units(),
    "dose": dose(),
})))
