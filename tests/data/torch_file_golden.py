#!/usr/bin/env python3
"""Makes tests/data/torch_file: files as torch.save writes them, and their values in safetensors. Needs torch and
safetensors.

    python3 tests/data/torch_file_golden.py [OUTPUT_DIRECTORY]
"""
import collections
import pathlib
import sys

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "torch_file"


def values():
    torch.manual_seed(1)
    whole = torch.randn(4, 6)
    return {"float": torch.randn(3, 5), "half": torch.randn(7).half(), "bfloat": torch.randn(2, 2, 2).bfloat16(),
            "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "view": whole[1:3], "same_storage": whole[3:]}


def main():
    OUT.mkdir(exist_ok=True)
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
