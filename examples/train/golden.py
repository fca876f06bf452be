"""Makes golden.json: what PyTorch makes of small inputs to the optimiser and the losses. Needs torch 2.11.

    python examples/train/golden.py
"""

import json
from pathlib import Path

import torch

torch.manual_seed(0)
result = {}


def rows(tensor):
    return [round(value, 7) for value in tensor.flatten().tolist()]


# AdamW over three steps, the second with a gradient longer than the limit.
matrix, gain = torch.randn(2, 3), torch.randn(3)
gradients = [(torch.randn(2, 3) * scale, torch.randn(3) * scale) for scale in (0.1, 5.0, 0.2)]
result["adamw"] = {"matrix": rows(matrix), "gain": rows(gain), "gradients": [[rows(a), rows(b)] for a, b in gradients]}
one, two = matrix.clone().requires_grad_(), gain.clone().requires_grad_()
groups = [{"params": [one], "weight_decay": 0.1}, {"params": [two], "weight_decay": 0.0}]
optimiser = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.98), eps=1e-6)
for first, second in gradients:
    one.grad, two.grad = first.clone(), second.clone()
    torch.nn.utils.clip_grad_norm_([one, two], 1.0)
    optimiser.step()
result["adamw"]["matrix_after"], result["adamw"]["gain_after"] = rows(one), rows(two)

# Cross entropy with several right answers, by PyTorch's own cross entropy with probabilities as targets.
unit = lambda x: torch.nn.functional.normalize(x, dim=-1)
images, texts, scale = unit(torch.randn(4, 5)), unit(torch.randn(4, 5)), torch.tensor(7.0)
truth = torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]])
logits = scale * images @ texts.T
cross = torch.nn.functional.cross_entropy
by_image = cross(logits, truth / truth.sum(1, keepdim=True))
by_text = cross(logits.T, truth.T / truth.T.sum(1, keepdim=True))
result["contrastive"] = {
    "images": rows(images), "texts": rows(texts), "scale": 7.0, "truth": rows(truth), "loss": ((by_image + by_text) / 2).item(),
}

# Supervised contrast, written out in loops. Samples: things 0 0 1 1 2, as picture or word.
units = torch.randn(6, 4)
things, words = [0, 0, 1, 1, 2, 0], [False, True, False, True, False, False]
centred = unit(units - units.mean(0))
total, counted = 0.0, 0
pairs, others = torch.zeros(6, 6), torch.zeros(6, 6)
for i in range(6):
    for j in range(6):
        pairs[i, j] = float(things[i] == things[j] and words[i] != words[j])
        others[i, j] = float(things[i] != things[j])
for i in range(6):
    positives = [j for j in range(6) if pairs[i, j]]
    if not positives:
        continue
    seen = [j for j in range(6) if pairs[i, j] or others[i, j]]
    bottom = torch.logsumexp(torch.stack([centred[i] @ centred[j] / 0.1 for j in seen]), 0)
    total += -sum((centred[i] @ centred[j] / 0.1 - bottom).item() for j in positives) / len(positives)
    counted += 1
result["joining"] = {"units": rows(units), "pairs": rows(pairs), "others": rows(others), "loss": total / counted}

Path(__file__).with_name("golden.json").write_text(json.dumps(result, indent=1) + "\n")
