#!/usr/bin/env python3
"""One tiny model in every file format, and what the three references compute with it.

    python tests/golden/formats.py        (requirements.txt, and clip-anytorch 2.6, which is OpenAI's package, for `clip`)

Writes formats/: the same f16 weights as open_clip's folder (open_clip_config.json, open_clip_model.safetensors), as a checkpoint
of open_clip's training (training.pt), as torch.save wrote them before 1.6 (legacy.bin), as OpenAI published theirs (openai.pt, a
TorchScript archive traced from OpenAI's own code), as folders of transformers (hugging/, sharded/, hugging.bin); a ResNet as
OpenAI published theirs (resnet.pt); and features.safetensors: features and fingerprints. open_clip, transformers and OpenAI's
code are held against each other here; all computed in f32.
"""

import argparse
import json
import pathlib
import shutil
import sys

if sys.path[0] == str(pathlib.Path(__file__).resolve().parent):
    sys.path.append(sys.path.pop(0))  # statistics.py beside this script is not the module that libraries mean

import numpy
import open_clip
import torch
import transformers
from clip.model import CLIP as OpenAI
from clip.model import VisionTransformer, convert_weights
from encoder import TEXTS, fingerprint, pictures, randomise, tokenizer
from PIL import Image
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "formats"
SIZE, CONTEXT, VOCABULARY, DIMENSION, TEXT_WIDTH = 32, 24, 560, 20, 24
CONFIG = {
    "model_cfg": {
        "embed_dim": DIMENSION,
        "quick_gelu": True,
        "vision_cfg": {"layers": 2, "width": 32, "head_width": 32, "patch_size": 8, "image_size": SIZE},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": TEXT_WIDTH, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD)},
}


def images(size):
    """The pictures, also as files, and as the model sees them with CLIP's own mean and deviation."""
    mean, std = (torch.tensor(CONFIG["preprocess_cfg"][key])[:, None, None] for key in ("mean", "std"))
    out = []
    for title, values in pictures(size).items():
        path = HERE / "images" / f"{title}-{size}.png"
        if not path.exists():
            Image.fromarray(values.astype(numpy.uint8)).save(path, optimize=True)
        pixels = torch.from_numpy(numpy.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)
        out.append((pixels / 255 - mean) / std)
    return torch.stack(out)


def rounded(state):
    """Values that f16 holds exactly."""
    return {name: t.half() if t.is_floating_point() else t for name, t in state.items()}


def openai(vision_layers, vision_width, size):
    """OpenAI's model. Its code has heads of 64 channels; a narrower transformer gets one head."""
    patches = 8 if isinstance(vision_layers, int) else None
    model = OpenAI(DIMENSION, size, (1, 1, 1, 1) if patches else vision_layers, 2, patches, CONTEXT, VOCABULARY, TEXT_WIDTH, 1, 1)
    if patches:
        model.visual = VisionTransformer(size, patches, vision_width, vision_layers, 1, DIMENSION)
    return model


def archive(model, pixels, path, tokens):
    """A TorchScript archive as OpenAI's are: traced in half precision, three numbers as buffers beside the weights."""
    convert_weights(model)
    numbers = {"input_resolution": pixels.shape[-1], "context_length": model.context_length, "vocab_size": model.vocab_size}
    for name, number in numbers.items():
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(number))
    traced = torch.jit.trace(model.eval(), (pixels.half(), tokens), check_trace=False)
    torch.jit.save(traced, path)


def to_transformers(state):
    """The weights under the names of transformers."""
    out = {"logit_scale": state["logit_scale"], "text_projection.weight": state["text_projection"].T,
           "visual_projection.weight": state["visual.proj"].T,
           "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
           "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
           "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
           "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
           "vision_model.embeddings.position_embedding.weight": state["visual.positional_embedding"]}
    norms = {"ln_final": "text_model.final_layer_norm", "visual.ln_pre": "vision_model.pre_layrnorm",
             "visual.ln_post": "vision_model.post_layernorm"}
    for ours, theirs in norms.items():
        out.update({f"{theirs}.{kind}": state[f"{ours}.{kind}"] for kind in ("weight", "bias")})
    for prefix, tower in (("transformer", "text_model"), ("visual.transformer", "vision_model")):
        for layer in range(sum(name.startswith(f"{prefix}.resblocks.") and name.endswith(".ln_1.bias") for name in state)):
            ours, theirs = f"{prefix}.resblocks.{layer}", f"{tower}.encoder.layers.{layer}"
            pairs = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
                     "attn.out_proj": "self_attn.out_proj"}
            for kind in ("weight", "bias"):
                out.update({f"{theirs}.{b}.{kind}": state[f"{ours}.{a}.{kind}"] for a, b in pairs.items()})
                parts = state[f"{ours}.attn.in_proj_{kind}"].chunk(3)
                out.update({f"{theirs}.self_attn.{part}_proj.{kind}": value for part, value in zip("qkv", parts)})
    return {name: tensor.contiguous().clone() for name, tensor in out.items()}


def hugging(state, config=CONFIG["model_cfg"]):
    """The model of transformers with these weights, sized by a configuration of open_clip."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    vocabulary = text["vocab_size"]
    vision = {"hidden_size": vision["width"], "intermediate_size": 4 * vision["width"], "num_hidden_layers": vision["layers"],
              "num_attention_heads": vision["width"] // vision.get("head_width", 64), "image_size": vision["image_size"],
              "patch_size": vision["patch_size"]}
    text = {"hidden_size": text["width"], "intermediate_size": 4 * text["width"], "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"], "vocab_size": vocabulary, "max_position_embeddings": text["context_length"],
            "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1}
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=config["embed_dim"]))
    missing = model.load_state_dict(to_transformers(state), strict=False)
    assert not missing.unexpected_keys and all(name.endswith("position_ids") for name in missing.missing_keys), missing
    return model.eval()


@torch.no_grad()
def main():
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "hugging").mkdir(parents=True)
    tokens = tokenizer(VOCABULARY, CONTEXT)(TEXTS)
    torch.manual_seed(11)
    model = open_clip.CLIP(**CONFIG["model_cfg"]).eval()
    half = rounded(randomise(model))
    state = {name: t.float() for name, t in half.items()}
    model.load_state_dict(state)
    out = {"image_features": model.encode_image(images(SIZE)), "text_features": model.encode_text(tokens)}

    (OUT / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    save_file(half, OUT / "open_clip_model.safetensors")
    torch.save(half, OUT / "legacy.bin", _use_new_zipfile_serialization=False)

    # A checkpoint of training: wrapped names, an optimiser, and tensors that lie in their storages in other ways.
    odd = {f"module.{name}": tensor for name, tensor in half.items()}
    odd["module.visual.proj"] = half["visual.proj"].T.contiguous().T
    odd["module.ln_final.bias"] = torch.cat([torch.zeros(5).half(), half["ln_final.bias"], torch.ones(3).half()])[5:-3]
    odd["module.ln_final.weight"] = torch.stack([half["ln_final.weight"], torch.zeros(TEXT_WIDTH).half()], 1)[:, 0]
    odd["module.logit_scale"] = torch.nn.Parameter(half["logit_scale"])
    small = torch.nn.Parameter(torch.ones(3))
    with torch.enable_grad():
        optimizer = torch.optim.AdamW([small])
        small.sum().backward()
        optimizer.step()
    training = {"epoch": 3, "name": "run", "state_dict": odd, "optimizer": optimizer.state_dict(), "scaler": {"scale": 65536.0},
                "args": argparse.Namespace(lr=1e-3, device=torch.device("cpu")), "loss": numpy.float64(1.5)}
    torch.save(training, OUT / "training.pt")

    theirs = openai(2, 32, SIZE)
    theirs.load_state_dict(state)
    for found, expected in ((theirs.encode_image(images(SIZE)), "image_features"), (theirs.encode_text(tokens), "text_features")):
        assert torch.allclose(found, out[expected], atol=1e-5), expected
    archive(theirs, images(SIZE), OUT / "openai.pt", tokens)

    theirs = hugging(state)
    found = theirs.get_image_features(pixel_values=images(SIZE)), theirs.get_text_features(input_ids=tokens)
    for found, expected in zip(found, ("image_features", "text_features")):
        found = getattr(found, "pooler_output", found)
        assert torch.allclose(found, out[expected], atol=1e-5), expected
    theirs.half().save_pretrained(OUT / "hugging")
    transformers.CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}).save_pretrained(OUT / "hugging")
    theirs.save_pretrained(OUT / "sharded", max_shard_size="50KB")
    torch.save(theirs.state_dict(), OUT / "hugging.bin")

    torch.manual_seed(12)
    resnet = openai((1, 1, 1, 1), 2, 64)
    resnet.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in rounded(randomise(resnet)).items()})
    resnet.eval()
    out["resnet.image_features"] = resnet.encode_image(images(64))
    out["resnet.text_features"] = resnet.encode_text(tokens)
    prints = {"fingerprint": fingerprint(model), "resnet": fingerprint(resnet)}
    archive(resnet, images(64), OUT / "resnet.pt", tokens)
    save_file({name: t.clone().contiguous() for name, t in out.items()}, OUT / "features.safetensors",
              metadata={"made": json.dumps({"texts": TEXTS, "transformers": transformers.__version__, **prints})})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
