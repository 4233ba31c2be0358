"""Writes tiny random CodeT5+ checkpoints (parallel-block family) and what they must compute.

An independent statement of the architecture, one example at a time and head by head, in PyTorch:

    python3 codet5p_golden.py

makes codet5p_wide* (decoder wider than the encoder) and codet5p_equal* (equal widths) beside this
file, stored as the table below says, with buffers to ignore, each with an expected.safetensors of
golden_expectations.py. Needs torch, safetensors and huggingface_hub.
"""

import json
import math
import pathlib
from functools import partial

import torch
from huggingface_hub import save_torch_state_dict

from golden_expectations import save_expectations

VOCABULARY, END = 300, 279
MERGES = ["d e", "de f", "Ġ Ġ", "r e", "t u", "re tu", "r n", "retu rn", "i n", "( )", "Ġ =",
          "s e", "l f", "se lf", "Ġ x", "Ġ return", "p r", "in t", "pr int", "Ġ def", "o r", "f or",
          "a n"]


def stack_weights(prefix, shape, draw):
    d, weights = shape["n_embd"], {}
    weights[prefix + "wte.weight"] = draw(VOCABULARY, d, scale=0.5)
    for layer in range(shape["n_layer"]):
        block = f"{prefix}h.{layer}."
        weights[block + "ln_1.weight"] = draw(d, scale=0.2, mean=1.0)
        weights[block + "ln_1.bias"] = draw(d, scale=0.2)
        weights[block + "attn.qkv_proj.weight"] = draw(3 * d, d, scale=0.3)
        weights[block + "attn.out_proj.weight"] = draw(d, d, scale=0.2)
        weights[block + "mlp.fc_in.weight"] = draw(4 * d, d, scale=0.2)
        weights[block + "mlp.fc_in.bias"] = draw(4 * d, scale=0.2)
        weights[block + "mlp.fc_out.weight"] = draw(d, 4 * d, scale=0.1)
        weights[block + "mlp.fc_out.bias"] = draw(d, scale=0.1)
    weights[prefix + "ln_f.weight"] = draw(d, scale=0.2, mean=1.0)
    weights[prefix + "ln_f.bias"] = draw(d, scale=0.2)
    return weights


def all_weights(config, draw):
    encoder, decoder = config["encoder"], config["decoder"]
    weights = stack_weights("encoder.", encoder, draw)
    weights |= stack_weights("decoder.transformer.", decoder, draw)
    d = decoder["n_embd"]
    cross = f"decoder.transformer.h.{decoder['n_layer'] - 1}.crossattention."
    weights[cross + "q_attn.weight"] = draw(d, d, scale=0.3)
    weights[cross + "qkv_proj.weight"] = draw(2 * d, d, scale=0.3)
    weights[cross + "out_proj.weight"] = draw(d, d, scale=0.4)
    weights["decoder.lm_head.weight"] = draw(VOCABULARY, d, scale=0.4)
    weights["decoder.lm_head.bias"] = draw(VOCABULARY, scale=0.4)
    if encoder["n_embd"] != d:
        weights["enc_to_dec_proj.weight"] = draw(d, encoder["n_embd"], scale=0.3)
        weights["enc_to_dec_proj.bias"] = draw(d, scale=0.3)
    return weights


def turn(x, rotary_dim):
    """Rotates neighbouring channels of x [T, head] as complex numbers, by position."""
    place = torch.arange(x.shape[0], dtype=torch.float32)[:, None]
    speed = 1.0 / (10000 ** (torch.arange(0, rotary_dim, 2) / rotary_dim))
    angle = place * speed
    pairs = torch.view_as_complex(x[:, :rotary_dim].reshape(x.shape[0], -1, 2).contiguous())
    turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(1)
    return torch.cat([turned, x[:, rotary_dim:]], dim=1)


def pick(x, part, parts, head, shape):
    """Channels of one head out of the four groups, each of which holds `parts` blocks of heads."""
    size, per_group = shape["n_embd"] // shape["n_head"], shape["n_head"] // 4
    group, inside = divmod(head, per_group)
    start = ((group * parts + part) * per_group + inside) * size
    return x[:, start:start + size]


def attend(query, key, value, causal):
    scores = query @ key.T / math.sqrt(query.shape[1])
    if causal:
        future = torch.ones_like(scores).triu(1).bool()
        scores = scores.masked_fill(future, float("-inf"))
    return torch.softmax(scores, dim=-1) @ value


def self_attention(weights, block, x, shape, causal):
    mixed = x @ weights[block + "attn.qkv_proj.weight"].T
    heads = []
    for head in range(shape["n_head"]):
        query, value, key = (pick(mixed, part, 3, head, shape) for part in range(3))
        query, key = turn(query, shape["rotary_dim"]), turn(key, shape["rotary_dim"])
        heads.append(attend(query, key, value, causal))
    return torch.cat(heads, dim=1) @ weights[block + "attn.out_proj.weight"].T


def cross_attention(weights, block, x, states, shape):
    asked = x @ weights[block + "crossattention.q_attn.weight"].T
    mixed = states @ weights[block + "crossattention.qkv_proj.weight"].T
    heads = []
    for head in range(shape["n_head"]):
        query = turn(pick(asked, 0, 1, head, shape), shape["rotary_dim"])
        value, key = (pick(mixed, part, 2, head, shape) for part in range(2))
        heads.append(attend(query, turn(key, shape["rotary_dim"]), value, causal=False))
    return torch.cat(heads, dim=1) @ weights[block + "crossattention.out_proj.weight"].T


def norm(weights, name, x):
    return torch.nn.functional.layer_norm(
        x, x.shape[-1:], weights[name + ".weight"], weights[name + ".bias"], 1e-5)


def gelu_new(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def run_stack(weights, prefix, shape, x, states=None):
    causal = states is not None
    for layer in range(shape["n_layer"]):
        block = f"{prefix}h.{layer}."
        inner = norm(weights, block + "ln_1", x)
        hidden = inner @ weights[block + "mlp.fc_in.weight"].T + weights[block + "mlp.fc_in.bias"]
        out = gelu_new(hidden) @ weights[block + "mlp.fc_out.weight"].T
        out = x + out + weights[block + "mlp.fc_out.bias"]
        out = out + self_attention(weights, block, inner, shape, causal)
        if causal and layer == shape["n_layer"] - 1:
            out = out + cross_attention(weights, block, inner, states, shape)
        x = out
    return norm(weights, prefix + "ln_f", x)


def encode(config, weights, embedded):
    states = run_stack(weights, "encoder.", config["encoder"], embedded)
    if "enc_to_dec_proj.weight" in weights:
        states = states @ weights["enc_to_dec_proj.weight"].T + weights["enc_to_dec_proj.bias"]
    return states


def logits_of(config, weights, states, ids):
    x = weights["decoder.transformer.wte.weight"][ids]
    x = run_stack(weights, "decoder.transformer.", config["decoder"], x, states)
    return x @ weights["decoder.lm_head.weight"].T + weights["decoder.lm_head.bias"]


def byte_symbols():
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + i) for i in range(len(hidden))]


def tokenizer():
    pieces = byte_symbols() + [merge.replace(" ", "") for merge in MERGES]
    assert len(pieces) == END and len(set(pieces)) == END
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}
    added = {"id": END, "content": "<|endoftext|>", "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added],
            "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "vocab": {piece: i for i, piece in enumerate(pieces)},
                      "merges": MERGES}}


def shape_of(width, layers, heads, rotary_dim, **more):
    return {"model_type": "codet5p_module", "n_embd": width, "n_layer": layers, "n_head": heads,
            "rotary_dim": rotary_dim, "n_inner": None, "vocab_size": VOCABULARY,
            "n_positions": 640, "n_ctx": 640, "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5, "bos_token_id": END, "eos_token_id": END} | more


def write(name, shapes, dtype, seed, with_tokenizer=False, **files):
    folder = pathlib.Path(__file__).parent / name
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape, scale, mean=0.0):
        return (torch.randn(*shape, generator=generator) * scale + mean).to(dtype).float()

    config = {"model_type": "codet5p", "is_encoder_decoder": True, "pad_token_id": None,
              "decoder_start_token_id": None, "encoder": shapes[0],
              "decoder": shapes[1] | {"is_decoder": True, "add_cross_attention": True}}
    weights = all_weights(config, draw)

    def prefix_of(instruction):
        return torch.cat([torch.tensor([END]), instruction])

    save_expectations(folder / "expected.safetensors", weights["encoder.wte.weight"],
                      partial(encode, config, weights), partial(logits_of, config, weights),
                      prefix_of, generator)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    stored = {key: weight.to(dtype) for key, weight in weights.items()}
    block = "decoder.transformer.h.0.attn."
    stored[block + "causal_mask"] = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
    stored[block + "scale_attn"] = torch.tensor(2.0)
    save_torch_state_dict(stored, folder, **files)
    if with_tokenizer:
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False) + "\n")
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "CodeGenTokenizer", "eos_token": "<|endoftext|>"}) + "\n")
    for path in folder.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    equal = shape_of(32, 2, 8, 4), shape_of(32, 2, 4, 6)
    write("codet5p_wide", (shape_of(32, 2, 4, 4), shape_of(48, 3, 4, 8)), torch.float32, seed=1,
          with_tokenizer=True)
    write("codet5p_wide_bin", (shape_of(16, 2, 4, 4), shape_of(24, 1, 4, 6)), torch.bfloat16,
          seed=6, safe_serialization=False)
    # The same weights in both.
    write("codet5p_equal", equal, torch.float16, seed=2, max_shard_size="100KB")
    write("codet5p_equal_bin", equal, torch.float16, seed=2, max_shard_size="100KB",
          safe_serialization=False)
