#!/usr/bin/env python3
"""Makes tests/data/torch_file: files as torch.save writes them, their values in safetensors, and in codet5p_equal the
checkpoint tests/data/codet5p_equal again. Needs torch and safetensors.

    python3 tests/data/torch_file_golden.py [OUTPUT_DIRECTORY]
"""
import collections
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file

DATA = pathlib.Path(__file__).parent
OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "torch_file"


def values():
    torch.manual_seed(1)
    whole = torch.randn(4, 6)
    return {"float": torch.randn(3, 5), "half": torch.randn(7).half(), "bfloat": torch.randn(2, 2, 2).bfloat16(),
            "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "view": whole[1:3], "same_storage": whole[3:]}


def save_shards(source, target):
    target.mkdir(exist_ok=True)
    shutil.copy(source / "config.json", target)
    weights = {}
    for shard in source.glob("model-*.safetensors"):
        weights |= load_file(shard)
    weights["decoder.transformer.h.0.attn.causal_mask"] = torch.tril(torch.ones(8, 8, dtype=torch.bool))
    names, weight_map = sorted(weights), {}
    for number, shard in enumerate((names[::2], names[1::2]), start=1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: weights[name] for name in shard}, target / file)
        weight_map.update(dict.fromkeys(shard, file))
    (target / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}, indent=1))


def main():
    OUT.mkdir(exist_ok=True)
    save_shards(DATA / "codet5p_equal", OUT / "codet5p_equal")
    tensors = values()
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, OUT / "values.safetensors")

    state = collections.OrderedDict(tensors)
    state["parameter"] = torch.nn.Parameter(tensors["float"])
    state["tied"] = state["float"]
    state["layer.causal_mask"] = torch.tril(torch.ones(3, 3, dtype=torch.bool))
    state["steps"] = torch.arange(3)
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    torch.save(state, OUT / "ordered_dict.bin")
    torch.save(tensors, OUT / "dict.bin")

    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    torch.save(module.state_dict(), OUT / "module.bin")
    torch.save(tensors, OUT / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"t": tensors["float"].t()}, OUT / "transposed.bin")
    torch.save({"t": torch.zeros(2), "n": 3}, OUT / "not_a_tensor.bin")
    torch.save({"model": {"t": torch.zeros(2)}}, OUT / "nested.bin")
    torch.save(torch.zeros(2), OUT / "one_tensor.bin")
    torch.save(module, OUT / "whole_module.bin")
    torch.save(tensors, OUT / "protocol_4.bin", pickle_protocol=4)
    torch.save({"t": torch.zeros(2).to_sparse()}, OUT / "sparse.bin")


if __name__ == "__main__":
    main()
