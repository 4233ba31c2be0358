#!/usr/bin/env python3
"""The peer of `ddpt bench train`: a training step through the whole frozen model with PyTorch, eager.

    eager_train.py MODEL_DIRECTORY BENCH.safetensors [THREADS [RUNS [DEVICE [DTYPE]]]]

The examples and prompts of BENCH go through encoder, all of the decoder, and the logits of the answers' tokens; the cross-entropy goes back to
the prompts. The model is of the parallel-block family; its weights are frozen, so autograd itself skips what no prompt reaches. Attention is
PyTorch's fused one. Prints one line of JSON, with the largest difference from the gradient in BENCH, relative to its largest element. Needs torch
and safetensors.
"""

import json
import math
import pathlib
import statistics
import sys
import time

import torch
from safetensors import safe_open
from torch.nn.functional import cross_entropy, embedding, gelu, layer_norm, linear, scaled_dot_product_attention

GROUPS = 4


def load(directory, device, dtype):
    weights = {}
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():
                weights[name] = opened.get_tensor(name).to(device, dtype)
    return json.loads((directory / "config.json").read_text()), weights


def split(x, parts, heads):
    """x [B, T, groups * parts * w] as `parts` tensors [B, H, T, hd]."""
    grouped = x.view(*x.shape[:2], GROUPS, parts, heads // GROUPS, -1)
    return [grouped[:, :, :, part].reshape(*x.shape[:2], heads, -1).transpose(1, 2) for part in range(parts)]


def rotate(x, tables):
    cosine, sine = tables
    turned = 2 * cosine.shape[-1]
    even, odd = x[..., :turned:2], x[..., 1:turned:2]
    pairs = torch.stack((even * cosine - odd * sine, odd * cosine + even * sine), -1).flatten(-2)
    return torch.cat((pairs.to(x.dtype), x[..., turned:]), -1)


class Model:
    def __init__(self, directory, device, dtype):
        self.config, self.weights = load(directory, device, dtype)
        self.device = device

    def linear(self, x, name):
        return linear(x, self.weights[name + ".weight"], self.weights.get(name + ".bias"))

    def norm(self, x, name):
        return layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"], 1e-5)

    def tables(self, stack, positions):
        speed = 10000 ** -(torch.arange(0, stack["rotary_dim"], 2, device=self.device) / stack["rotary_dim"])
        angle = positions[:, None] * speed
        return torch.cos(angle), torch.sin(angle)

    def block(self, x, prefix, stack, tables, causal):
        inner = self.norm(x, prefix + "ln_1")
        query, value, key = split(self.linear(inner, prefix + "attn.qkv_proj"), 3, stack["n_head"])
        attended = scaled_dot_product_attention(rotate(query, tables), rotate(key, tables), value, is_causal=causal)
        out = self.linear(attended.transpose(1, 2).flatten(2), prefix + "attn.out_proj")
        hidden = gelu(self.linear(inner, prefix + "mlp.fc_in"), approximate="tanh")
        return x + out + self.linear(hidden, prefix + "mlp.fc_out"), inner

    def encode(self, prompts, ids):
        stack = self.config["encoder"]
        x = torch.cat((prompts.to(self.weights["encoder.wte.weight"].dtype), embedding(ids, self.weights["encoder.wte.weight"])), 1)
        tables = self.tables(stack, torch.arange(x.shape[1], device=self.device))
        for layer in range(stack["n_layer"]):
            x, _ = self.block(x, f"encoder.h.{layer}.", stack, tables, False)
        x = self.norm(x, "encoder.ln_f")
        return self.linear(x, "enc_to_dec_proj") if "enc_to_dec_proj.weight" in self.weights else x

    def logits(self, ids, states, first):
        """Of the tokens after positions first, first + 1, ..."""
        stack, prefix = self.config["decoder"], "decoder.transformer."
        x = embedding(ids, self.weights[prefix + "wte.weight"])
        tables = self.tables(stack, torch.arange(x.shape[1], device=self.device))
        for layer in range(stack["n_layer"]):
            x, inner = self.block(x, f"{prefix}h.{layer}.", stack, tables, True)
        cross = f"{prefix}h.{stack['n_layer'] - 1}.crossattention."
        query, = split(self.linear(inner[:, first:], cross + "q_attn"), 1, stack["n_head"])
        value, key = split(self.linear(states, cross + "qkv_proj"), 2, stack["n_head"])
        of_states = self.tables(stack, torch.arange(states.shape[1], device=self.device))
        attended = scaled_dot_product_attention(rotate(query, [table[first:] for table in tables]), rotate(key, of_states), value)
        x = x[:, first:] + self.linear(attended.transpose(1, 2).flatten(2), cross + "out_proj")
        return self.linear(self.norm(x, prefix + "ln_f"), "decoder.lm_head")


def main():
    directory, bench = pathlib.Path(sys.argv[1]), sys.argv[2]
    threads, runs = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((3, 2), (4, 5)))
    device = sys.argv[5] if len(sys.argv) > 5 else "cpu"
    dtype = getattr(torch, sys.argv[6] if len(sys.argv) > 6 else "float32")
    torch.set_num_threads(threads)
    with safe_open(bench, framework="pt") as file:
        instructions, answers = (file.get_tensor(name).long().to(device) for name in ("instructions", "answers"))
        prompts, expected = (file.get_tensor(name).to(device) for name in ("prompts", "gradient"))
        start = torch.full((len(answers), 1), int(file.metadata()["start_token"]), device=device)
    prompts.requires_grad_(True)
    model = Model(directory, device, dtype)
    decoder_ids = torch.cat((start, instructions, answers[:, :-1]), 1)

    def step():
        prompts.grad = None
        logits = model.logits(decoder_ids, model.encode(prompts, instructions), instructions.shape[1])
        loss = cross_entropy(logits.float().flatten(0, 1), answers.flatten())
        loss.backward()
        return loss.item()

    loss, seconds = step(), []
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(runs):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    difference = (prompts.grad - expected).abs().max() / expected.abs().max()
    print(json.dumps({"median_seconds": statistics.median(seconds), "loss": loss, "max_relative_difference": difference.item(),
                      "gpu_peak_bytes": 0 if device == "cpu" else torch.cuda.max_memory_allocated(device)}))


if __name__ == "__main__":
    main()
