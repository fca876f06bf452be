"""Makes tests/golden/readout.json: zero-shot predictions by NumPy in f64 for tests/measures.rs.

Run:  python tests/golden/readout.py > tests/golden/readout.json
"""

import json

import numpy

random = numpy.random.default_rng(11)
LABELS, TEMPLATES, PROBES, DIMENSION, SCALE, BIAS = 7, 3, 12, 16, 40.0, -2.5
texts = random.normal(size=(LABELS, TEMPLATES, DIMENSION)).astype(numpy.float32)
images = (random.normal(size=(PROBES, DIMENSION)) * random.uniform(0.01, 100, (PROBES, 1))).astype(numpy.float32)


def unit(x):
    x = x.astype(numpy.float64)
    return x / numpy.linalg.norm(x, axis=-1, keepdims=True)


classes = unit(unit(texts).mean(axis=1))
cosines = unit(images) @ classes.T
logits = SCALE * cosines + BIAS
odds = numpy.exp(logits - logits.max(axis=1, keepdims=True))
probabilities = odds / odds.sum(axis=1, keepdims=True)
order = numpy.argsort(-cosines, axis=1, kind="stable")[:, :5]
print(json.dumps({
    "made-with": {"numpy": numpy.__version__},
    "scale": SCALE,
    "bias": BIAS,
    "texts": texts.tolist(),
    "images": images.tolist(),
    "labels": order.tolist(),
    "cosines": numpy.take_along_axis(cosines, order, 1).tolist(),
    "probabilities": numpy.take_along_axis(probabilities, order, 1).tolist(),
}))
