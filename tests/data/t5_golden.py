#!/usr/bin/env python3
"""Writes tiny random T5 checkpoints and what transformers' T5ForConditionalGeneration computes with them:

    python3 tests/data/t5_golden.py

makes t5_tied* (relu, the head tied to the embedding) and t5_gated* (gated-gelu, a head of its own) beside this file,
stored as the table below says, each with an expected.safetensors of golden_expectations.py. Needs torch, safetensors
and transformers (4.46.3 was used).
"""

import pathlib

import torch
from transformers import T5Config, T5ForConditionalGeneration

from golden_expectations import save_expectations

SHAPE = {"d_model": 24, "d_kv": 8, "num_heads": 4, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 3, "vocab_size": 300,
         "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20, "n_positions": 640,
         "decoder_start_token_id": 0, "eos_token_id": 2, "pad_token_id": 0, "dropout_rate": 0.0}
TIED = {"feed_forward_proj": "relu"}
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def moments_of(name):
    """Mean and deviation of a weight. Queries are small, as T5 does not scale its scores: large ones round coarsely."""
    if name.endswith("layer_norm.weight"):
        return 1.0, 0.2
    return 0.0, 0.6 if "relative" in name else 0.15 if ".q." in name else 0.25


def make_model(variant, dtype, generator):
    model = T5ForConditionalGeneration(T5Config(**SHAPE, **variant)).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        mean, scale = moments_of(name)
        weight.normal_(mean, scale, generator=generator)
        weight.copy_(weight.to(dtype))
    return model


def write(name, variant, dtype, seed, **files):
    folder = pathlib.Path(__file__).parent / name
    generator = torch.Generator().manual_seed(seed)
    model = make_model(variant, dtype, generator)

    def encode(embedded):
        return model.encoder(inputs_embeds=embedded[None])

    def logits_of(states, ids):
        return model(encoder_outputs=states, decoder_input_ids=ids[None], use_cache=False).logits[0]

    def start(_):
        return torch.tensor([SHAPE["decoder_start_token_id"]])

    folder.mkdir(exist_ok=True)
    save_expectations(folder / "expected.safetensors", model.shared.weight, encode, logits_of, start, generator)
    model.to(dtype).save_pretrained(folder, **files)
    (folder / "generation_config.json").unlink()
    for path in folder.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    # Seeds of t5_tied* leave every relu further from 0, where its gradient jumps, than rounding reaches.
    write("t5_tied", TIED, torch.float32, seed=15)
    write("t5_tied_bin", TIED, torch.float16, seed=14, safe_serialization=False, max_shard_size="50KB")
    write("t5_gated", GATED, torch.bfloat16, seed=2, max_shard_size="70KB")
    write("t5_gated_bin", GATED, torch.float16, seed=3, safe_serialization=False)
