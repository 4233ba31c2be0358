#!/usr/bin/env python3
"""Writes a checkpoint of a published CodeT5+'s geometry with random weights: float16, in shards, as those are stored.

    random_checkpoint.py DIRECTORY [--geometry 220m|770m|2b|6b|16b] [--tokenizer DIR]

The files are those of a Hugging Face directory: config.json, model-0000N-of-0000M.safetensors and their index, and the tokenizer files of
--tokenizer where it is given. 2B takes 6.2 GB, 16B 33 GB; a core makes some 25 million weights a second. Needs numpy."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil

import numpy

SHARD_BYTES = 2 << 30
ENCODER = (1024, 20, 16, 32)  # width, layers, heads, rotary channels
DECODER = {"2b": (2560, 32, 32, 64), "6b": (4096, 33, 16, 64), "16b": (6144, 34, 24, 64)}
T5_VOCABULARY = 32_100
T5 = {"220m": {"d_model": 768, "d_kv": 64, "num_heads": 12, "d_ff": 3072, "num_layers": 12},
      "770m": {"d_model": 1024, "d_kv": 64, "num_heads": 16, "d_ff": 4096, "num_layers": 24}}


def parallel_stack(prefix, width, layers, vocabulary):
    shapes = {f"{prefix}wte.weight": (vocabulary, width)}
    for layer in range(layers):
        block = f"{prefix}h.{layer}."
        shapes |= {f"{block}ln_1.weight": (width,), f"{block}ln_1.bias": (width,),
                   f"{block}attn.qkv_proj.weight": (3 * width, width), f"{block}attn.out_proj.weight": (width, width),
                   f"{block}mlp.fc_in.weight": (4 * width, width), f"{block}mlp.fc_in.bias": (4 * width,),
                   f"{block}mlp.fc_out.weight": (width, 4 * width), f"{block}mlp.fc_out.bias": (width,)}
    return shapes | {f"{prefix}ln_f.weight": (width,), f"{prefix}ln_f.bias": (width,)}


def parallel(encoder, decoder, vocabulary=51_200):
    """config.json, and the shape of each tensor, of the parallel-block family."""
    def stack(width, layers, heads, rotary):
        return {"model_type": "codet5p_module", "n_embd": width, "n_layer": layers, "n_head": heads, "rotary_dim": rotary, "n_inner": None,
                "vocab_size": vocabulary, "n_positions": 2048, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
                "bos_token_id": min(50256, vocabulary - 1), "eos_token_id": min(50256, vocabulary - 1)}

    encoder, decoder = stack(*encoder), stack(*decoder)
    config = {"model_type": "codet5p", "is_encoder_decoder": True, "encoder": encoder, "decoder": decoder | {"add_cross_attention": True}}
    width = decoder["n_embd"]
    cross = f"decoder.transformer.h.{decoder['n_layer'] - 1}.crossattention."
    shapes = parallel_stack("encoder.", encoder["n_embd"], encoder["n_layer"], vocabulary)
    shapes |= parallel_stack("decoder.transformer.", width, decoder["n_layer"], vocabulary)
    shapes |= {f"{cross}q_attn.weight": (width, width), f"{cross}qkv_proj.weight": (2 * width, width),
               f"{cross}out_proj.weight": (width, width), "decoder.lm_head.weight": (vocabulary, width),
               "decoder.lm_head.bias": (vocabulary,), "enc_to_dec_proj.weight": (width, encoder["n_embd"]),
               "enc_to_dec_proj.bias": (width,)}
    return config, shapes


def t5(size):
    shape = T5[size]
    width, inner = shape["d_model"], shape["d_kv"] * shape["num_heads"]
    shapes = {"shared.weight": (T5_VOCABULARY, width)}
    for stack in ("encoder", "decoder"):
        for layer in range(shape["num_layers"]):
            block = f"{stack}.block.{layer}.layer."
            attentions = ["0.SelfAttention"] + ["1.EncDecAttention"] * (stack == "decoder")
            for attention in attentions:
                shapes |= {f"{block}{attention}.{name}.weight": (inner, width) for name in "qkv"}
                shapes[f"{block}{attention}.o.weight"] = (width, inner)
            last = len(attentions)
            shapes |= {f"{block}{last}.DenseReluDense.wi.weight": (shape["d_ff"], width),
                       f"{block}{last}.DenseReluDense.wo.weight": (width, shape["d_ff"])}
            shapes |= {f"{block}{part}.layer_norm.weight": (width,) for part in range(last + 1)}
        shapes[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (32, shape["num_heads"])
        shapes[f"{stack}.final_layer_norm.weight"] = (width,)
    config = {"model_type": "t5", "is_encoder_decoder": True, "vocab_size": T5_VOCABULARY, "n_positions": 512,
              "decoder_start_token_id": 0, "eos_token_id": 2, **shape}
    return config, shapes


def weight(generator, name, shape):
    if len(shape) == 1:
        return numpy.full(shape, 1.0 if name.endswith("norm.weight") or ".ln_" in name and name.endswith("weight") else 0.0, numpy.float16)
    return (generator.standard_normal(shape, numpy.float32) * (0.5 / shape[1] ** 0.5)).astype(numpy.float16)


def shards_of(shapes):
    shards, size = [[]], 0
    for name, shape in sorted(shapes.items()):
        bytes_of = 2 * int(numpy.prod(shape))
        if size and size + bytes_of > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += bytes_of
    return shards


def write_shard(path, names, shapes, generator):
    header, offset = {}, 0
    for name in names:
        end = offset + 2 * int(numpy.prod(shapes[name]))
        header[name] = {"dtype": "F16", "shape": shapes[name], "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            weight(generator, name, shapes[name]).tofile(file)


def write_checkpoint(directory, config, shapes):
    directory.mkdir(parents=True, exist_ok=True)
    shards, placed = shards_of(shapes), {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        written = []
        for number, names in enumerate(shards, 1):
            file = f"model-{number:05}-of-{len(shards):05}.safetensors"
            written.append(pool.submit(write_shard, directory / file, names, shapes, numpy.random.default_rng([1, number])))
            placed |= dict.fromkeys(names, file)
        for shard in written:
            shard.result()
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--geometry", choices=[*T5, *DECODER], default="2b")
    parser.add_argument("--tokenizer", type=pathlib.Path)
    flags = parser.parse_args()
    write_checkpoint(flags.directory, *(parallel(ENCODER, DECODER[flags.geometry]) if flags.geometry in DECODER else t5(flags.geometry)))
    for name in ("tokenizer.json", "tokenizer_config.json") if flags.tokenizer else ():
        shutil.copy(flags.tokenizer / name, flags.directory)


if __name__ == "__main__":
    main()
