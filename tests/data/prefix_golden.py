#!/usr/bin/env python3
"""Writes what the checkpoints of codet5p_golden.py and t5_golden.py must compute under a prefix:

    python3 tests/data/prefix_golden.py

makes prefix.safetensors in codet5p_wide and t5_tied: for a prefix in all places ("all") and one in the decoder alone
("decoder") the mean loss of the first three rows of expected.safetensors, its gradient, the answers' log-probabilities
and what greedy decoding says without a cache. Attention is stated here for one example at a time; the rest is
codet5p_golden.py's and that of transformers (4.46.3 was used). Needs torch, safetensors and transformers.
"""

import json
import math
import pathlib
from functools import partial

import torch
from safetensors.torch import load_file, save_file
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

import codet5p_golden
from golden_expectations import answer_logprobs

ROWS, VIRTUAL, GREEDY = 3, 2, 24


class Prefix:
    """Keys and values for each layer and head, cut out of a flat [n, w] in the order of the denoiser's file."""

    def __init__(self, flat, stacks, place):
        self.pairs, at = {}, 0
        for stack, (layers, heads, size) in stacks.items():
            for layer in range(layers if place in ("all", stack) else 0):
                both = [[], []]
                for kind in both:
                    for _ in range(heads):
                        kind.append(flat[:, at:at + size])
                        at += size
                self.pairs[stack, layer] = list(zip(*both))
        assert at == flat.shape[1]

    def of(self, stack, layer):
        """A list of (keys [n, size], values [n, size]) by head, or None."""
        return self.pairs.get((stack, layer))


def width_of(stacks, place):
    return sum(2 * math.prod(shape) for stack, shape in stacks.items() if place in ("all", stack))


def attend_behind(before, query, key, value, causal):
    """codet5p_golden.attend for the next head of `before`, whose tokens every query sees."""
    scores = query @ key.T
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))
    first = next(before)
    if first is not None:
        scores, value = torch.cat([query @ first[0].T, scores], 1), torch.cat([first[1], value])
    return torch.softmax(scores / math.sqrt(query.shape[1]), dim=-1) @ value


def codet5p(folder):
    config = json.loads((folder / "config.json").read_text())
    weights = {name: weight.float() for name, weight in load_file(folder / "model.safetensors").items()}
    encoder, decoder = config["encoder"], config["decoder"]
    shapes = {"encoder": encoder, "decoder": decoder, "cross": decoder | {"n_layer": 1}}
    stacks = {name: (s["n_layer"], s["n_head"], s["n_embd"] // s["n_head"]) for name, s in shapes.items()}

    def install(prefix, names):
        """The heads in the order in which codet5p_golden.py comes to them."""
        heads = [(name, layer, head) for name in names for layer in range(stacks[name][0]) for head in range(stacks[name][1])]
        before = (pairs and pairs[head] for name, layer, head in heads for pairs in [prefix.of(name, layer)])
        codet5p_golden.attend = partial(attend_behind, before)

    def encode(prefix, ids):
        install(prefix, ["encoder"])
        return codet5p_golden.encode(config, weights, weights["encoder.wte.weight"][ids])

    def logits_of(prefix, states, ids):
        install(prefix, ["decoder", "cross"])
        return codet5p_golden.logits_of(config, weights, states, ids)

    def start(instruction):
        return torch.cat([torch.tensor([codet5p_golden.END]), instruction])

    return stacks, encode, logits_of, start


def t5_attention(self, hidden_states, mask=None, key_value_states=None, position_bias=None, **_):
    """T5Attention.forward with self.before in front; position_bias is that of the row's own tokens alone."""
    source = hidden_states if key_value_states is None else key_value_states

    def heads(linear, x):
        return linear(x)[0].view(x.shape[1], self.n_heads, -1).transpose(0, 1)

    query, key, value = heads(self.q, hidden_states), heads(self.k, source), heads(self.v, source)
    if position_bias is None:
        position_bias = torch.zeros(1, self.n_heads, query.shape[1], key.shape[1])
        if self.has_relative_attention_bias:
            position_bias = self.compute_bias(query.shape[1], key.shape[1])
        if mask is not None:
            position_bias = position_bias + mask[..., :key.shape[1]]
    scores = query @ key.transpose(1, 2) + position_bias[0]
    if self.before is not None:
        first_key, first_value = (torch.stack(kind) for kind in zip(*self.before))
        scores = torch.cat([query @ first_key.transpose(1, 2), scores], 2)
        value = torch.cat([first_value, value], 1)
    found = torch.softmax(scores, dim=-1) @ value
    return self.o(found.transpose(0, 1).flatten(1)[None]), None, position_bias


def t5(folder):
    model = T5ForConditionalGeneration.from_pretrained(folder).eval().requires_grad_(False)
    shape = model.config
    stacks = {name: (layers, shape.num_heads, shape.d_kv) for name, layers in (
        ("encoder", shape.num_layers), ("decoder", shape.num_decoder_layers), ("cross", shape.num_decoder_layers))}
    T5Attention.forward = t5_attention

    def install(prefix):
        for layer, block in enumerate(model.encoder.block):
            block.layer[0].SelfAttention.before = prefix.of("encoder", layer)
        for layer, block in enumerate(model.decoder.block):
            block.layer[0].SelfAttention.before = prefix.of("decoder", layer)
            block.layer[1].EncDecAttention.before = prefix.of("cross", layer)

    def encode(prefix, ids):
        install(prefix)
        return model.encoder(inputs_embeds=model.shared.weight[ids][None])

    def logits_of(prefix, states, ids):
        install(prefix)
        return model(encoder_outputs=states, decoder_input_ids=ids[None], use_cache=False).logits[0]

    return stacks, encode, logits_of, lambda _: torch.tensor([shape.decoder_start_token_id])


@torch.no_grad()
def greedy(logits_of, states, start):
    ids = start
    for _ in range(GREEDY):
        top = logits_of(states, ids)[-1].topk(2)
        assert float(top.values[0] - top.values[1]) > 1e-3, "two tokens too close for a golden file"
        ids = torch.cat([ids, top.indices[:1]])
    return ids[len(start):]


def write(name, family, seed):
    folder = pathlib.Path(__file__).parent / name
    stacks, encode, logits_of, start_of = family(folder)
    expected = load_file(folder / "expected.safetensors")
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    nothing = Prefix(torch.zeros(VIRTUAL, 0), stacks, "none")
    for place in ("all", "decoder"):
        flat = (torch.randn(VIRTUAL, width_of(stacks, place), generator=generator) * 0.7).requires_grad_()
        prefix, logprobs = Prefix(flat, stacks, place), []
        for row in range(ROWS):
            instruction, answer = (expected[f"{kind}.{row}"].long() for kind in ("instruction", "answer"))
            start = start_of(instruction)
            plain = answer_logprobs(partial(logits_of, nothing), encode(nothing, instruction), start, answer)
            assert torch.allclose(plain, expected[f"logprobs_plain.{row}"], atol=1e-4), "attention is not the family's"
            states = encode(prefix, instruction)
            logprobs.append(answer_logprobs(partial(logits_of, prefix), states, start, answer))
            tensors[f"{place}.logprobs.{row}"] = logprobs[-1].detach()
            tensors[f"{place}.greedy.{row}"] = greedy(partial(logits_of, prefix), states, start).float()
        loss = -torch.cat(logprobs).mean()
        loss.backward()
        tensors |= {f"{place}.prefix": flat.detach(), f"{place}.gradient": flat.grad, f"{place}.loss": loss.detach()[None]}
    save_file(tensors, folder / "prefix.safetensors")
    (folder / "prefix.safetensors").chmod(0o644)


if __name__ == "__main__":
    write("codet5p_wide", codet5p, seed=1)
    write("t5_tied", t5, seed=1)
