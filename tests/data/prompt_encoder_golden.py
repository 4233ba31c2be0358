#!/usr/bin/env python3
"""Writes prompt_encoder_mlp.safetensors and prompt_encoder_lstm.safetensors beside this file: random weights of P-tuning's
prompt encoders under the names of core/tuning/prompt_encoder.cc, and `prompt` [n, w], what the same torch.nn modules
compute with them, in PEFT's order of layers. Needs torch and safetensors.
"""

import pathlib

import torch
from safetensors.torch import save_file

LENGTH, WIDTH, HIDDEN = 3, 4, 2
FOLDER = pathlib.Path(__file__).resolve().parent


def named(layer, module):
    return {f"prompt_encoder.{layer}.{part}": tensor for part, tensor in module.named_parameters()}


def lstm_names(lstm):
    for layer in range(lstm.num_layers):
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            for part, torch_name in (("input.weight", "weight_ih"), ("hidden.weight", "weight_hh"),
                                     ("input.bias", "bias_ih"), ("hidden.bias", "bias_hh")):
                yield f"prompt_encoder.lstm.{layer}.{direction}.{part}", getattr(lstm, f"{torch_name}_l{layer}{suffix}")


def write(kind):
    embedding = torch.randn(LENGTH, WIDTH)
    weights = {"prompt_encoder.embedding": embedding}
    if kind == "lstm":
        lstm = torch.nn.LSTM(WIDTH, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
        weights |= dict(lstm_names(lstm))
        second, last = torch.nn.Linear(2 * HIDDEN, 2 * HIDDEN), torch.nn.Linear(2 * HIDDEN, WIDTH)
        inner = lstm(embedding.unsqueeze(0))[0].squeeze(0)
    else:
        first, second, last = torch.nn.Linear(WIDTH, HIDDEN), torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.Linear(HIDDEN, WIDTH)
        weights |= named("1", first)
        inner = first(embedding).relu()
    weights |= named("2", second) | named("last", last)
    prompt = last(second(inner).relu())
    save_file({name: tensor.detach().contiguous() for name, tensor in (weights | {"prompt": prompt}).items()},
              FOLDER / f"prompt_encoder_{kind}.safetensors")


torch.manual_seed(1)
for kind in ("mlp", "lstm"):
    write(kind)
