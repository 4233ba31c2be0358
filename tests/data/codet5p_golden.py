"""Writes tiny random CodeT5+ checkpoints (parallel-block family) and what they must compute.

An independent statement of the architecture, one example at a time and head by head, in PyTorch:

    python3 codet5p_golden.py

makes codet5p_wide (decoder wider than the encoder, float32, one file, with buffers to ignore and a
tokenizer) and codet5p_equal (equal widths, float16, two shards) beside this file. Each has
expected.safetensors; id sequences in it are float32, -1 where a row is shorter.
"""

import json
import math
import pathlib

import torch
from safetensors.torch import save_file

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


def encode(config, weights, ids, prompt=None):
    x = weights["encoder.wte.weight"][ids]
    if prompt is not None:
        x = torch.cat([prompt, x])
    states = run_stack(weights, "encoder.", config["encoder"], x)
    if "enc_to_dec_proj.weight" in weights:
        states = states @ weights["enc_to_dec_proj.weight"].T + weights["enc_to_dec_proj.bias"]
    return states


def logits_of(config, weights, states, ids):
    x = weights["decoder.transformer.wte.weight"][ids]
    x = run_stack(weights, "decoder.transformer.", config["decoder"], x, states)
    return x @ weights["decoder.lm_head.weight"].T + weights["decoder.lm_head.bias"]


def answer_logprobs(config, weights, states, prefix, answer):
    logits = logits_of(config, weights, states, torch.cat([prefix, answer[:-1]]))
    chosen = torch.log_softmax(logits[len(prefix) - 1:], dim=-1)
    return chosen.gather(1, answer[:, None])[:, 0]


def greedy(config, weights, states, prefix, count):
    ids, margin = prefix, float("inf")
    for _ in range(count):
        top = logits_of(config, weights, states, ids)[-1].topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        ids = torch.cat([ids, top.indices[:1]])
    assert margin > 1e-3, f"two tokens too close for a golden file: {margin}"
    return ids[len(prefix):]


def padded(rows):
    return torch.nn.utils.rnn.pad_sequence(
        [row.detach().float() for row in rows], batch_first=True, padding_value=-1)


def expectations(config, weights, draw, generator):
    def ids(length):
        return torch.randint(0, 256, (length,), generator=generator)

    start = torch.tensor([END])
    instructions = [ids(5), ids(9), ids(2)]
    answers = [ids(7), ids(3), ids(11)]
    prefixes = [torch.cat([start, row]) for row in instructions]
    prompt = draw(3, config["encoder"]["n_embd"], scale=0.5).requires_grad_()
    plain, prompted, decoded = [], [], []
    for instruction, prefix, answer in zip(instructions, prefixes, answers):
        states = encode(config, weights, instruction)
        plain.append(answer_logprobs(config, weights, states, prefix, answer))
        states = encode(config, weights, instruction, prompt)
        prompted.append(answer_logprobs(config, weights, states, prefix, answer))
        with torch.no_grad():
            decoded.append(greedy(config, weights, states, prefix, 32))
    loss = -torch.cat(prompted).mean()
    loss.backward()
    return {"instructions": padded(instructions), "answers": padded(answers),
            "prompt": prompt.detach(), "prompt_gradient": prompt.grad, "loss": loss.detach()[None],
            "logprobs_plain": padded(plain), "logprobs_prompted": padded(prompted),
            "greedy": padded(decoded)}


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
            "n_positions": 96, "n_ctx": 96, "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5, "bos_token_id": END, "eos_token_id": END} | more


def save(tensors, path):
    save_file(tensors, path)
    path.chmod(0o644)


def write(name, encoder, decoder, dtype, seed, shards=1, with_tokenizer=False):
    folder = pathlib.Path(__file__).parent / name
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape, scale, mean=0.0):
        return (torch.randn(*shape, generator=generator) * scale + mean).to(dtype).float()

    config = {"model_type": "codet5p", "is_encoder_decoder": True, "pad_token_id": None,
              "decoder_start_token_id": None, "encoder": encoder,
              "decoder": decoder | {"is_decoder": True, "add_cross_attention": True}}
    weights = all_weights(config, draw)
    save(expectations(config, weights, draw, generator), folder / "expected.safetensors")
    stored = {key: weight.to(dtype).contiguous() for key, weight in weights.items()}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if shards == 1:
        block = "decoder.transformer.h.0.attn."
        stored[block + "causal_mask"] = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
        stored[block + "scale_attn"] = torch.tensor(2.0)
        save(stored, folder / "model.safetensors")
    else:
        names = sorted(stored)
        files = {key: f"model-{i * shards // len(names) + 1:05}-of-{shards:05}.safetensors"
                 for i, key in enumerate(names)}
        for file in set(files.values()):
            save({key: stored[key] for key in names if files[key] == file}, folder / file)
        index = {"metadata": {}, "weight_map": files}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    if with_tokenizer:
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False) + "\n")
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "CodeGenTokenizer", "eos_token": "<|endoftext|>"}) + "\n")


if __name__ == "__main__":
    write("codet5p_wide", shape_of(32, 2, 4, 4), shape_of(48, 3, 4, 8), torch.float32, seed=1,
          with_tokenizer=True)
    write("codet5p_equal", shape_of(32, 2, 8, 4), shape_of(32, 2, 4, 6), torch.float16, seed=2,
          shards=2)
