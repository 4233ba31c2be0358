#!/usr/bin/env python3
"""Writes tiny random T5 checkpoints and what transformers' T5ForConditionalGeneration computes with them:

    python3 tests/data/t5_golden.py

makes t5_tied (relu, the head tied to the embedding, safetensors) and t5_gated (gated-gelu, a head of its own,
pytorch_model.bin) beside this file, each with an expected.safetensors as codet5p_golden.py has it. Needs torch,
safetensors and transformers (4.46.3 was used).
"""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration

SHAPE = {"d_model": 24, "d_kv": 8, "num_heads": 4, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 3, "vocab_size": 300,
         "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20, "n_positions": 96,
         "decoder_start_token_id": 0, "eos_token_id": 2, "pad_token_id": 0, "dropout_rate": 0.0}


def make_model(seed, **more):
    torch.manual_seed(seed)
    model = T5ForConditionalGeneration(T5Config(**SHAPE, **more)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            norm = name.endswith("layer_norm.weight")
            weight.normal_(1.0 if norm else 0.0, 0.2 if norm else 0.6 if "relative" in name else 0.35)
    return model


def logits_of(model, embeddings, ids):
    mask = torch.ones(1, embeddings.shape[0], dtype=torch.long)
    return model(inputs_embeds=embeddings[None], attention_mask=mask, decoder_input_ids=ids[None]).logits[0]


def answer_logprobs(model, embeddings, answer):
    ids = torch.cat([torch.tensor([SHAPE["decoder_start_token_id"]]), answer[:-1]])
    return torch.log_softmax(logits_of(model, embeddings, ids), dim=-1).gather(1, answer[:, None])[:, 0]


def greedy(model, embeddings, count):
    ids, margin = torch.tensor([SHAPE["decoder_start_token_id"]]), float("inf")
    for _ in range(count):
        top = logits_of(model, embeddings, ids)[-1].topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        ids = torch.cat([ids, top.indices[:1]])
    assert margin > 1e-3, f"two tokens too close for a golden file: {margin}"
    return ids[1:]


def padded(rows):
    return torch.nn.utils.rnn.pad_sequence([row.detach().float() for row in rows], batch_first=True, padding_value=-1)


def expectations(model):
    instructions, answers = ([torch.randint(3, 256, (n,)) for n in lengths] for lengths in ((5, 40, 2), (7, 3, 50)))
    prompt = (torch.randn(3, SHAPE["d_model"]) * 0.5).requires_grad_()
    plain, prompted, decoded = [], [], []
    for instruction, answer in zip(instructions, answers):
        embedded = model.shared.weight.detach()[instruction]
        plain.append(answer_logprobs(model, embedded, answer))
        prompted.append(answer_logprobs(model, torch.cat([prompt, embedded]), answer))
        with torch.no_grad():
            decoded.append(greedy(model, torch.cat([prompt, embedded]), 32))
    loss = -torch.cat(prompted).mean()
    loss.backward()
    return {"instructions": padded(instructions), "answers": padded(answers), "prompt": prompt.detach(),
            "prompt_gradient": prompt.grad, "loss": loss.detach()[None], "logprobs_plain": padded(plain),
            "logprobs_prompted": padded(prompted), "greedy": padded(decoded)}


def write(name, model, as_bin):
    folder = pathlib.Path(__file__).parent / name
    folder.mkdir(exist_ok=True)
    save_file(expectations(model), folder / "expected.safetensors")
    (folder / "config.json").write_text(json.dumps(model.config.to_diff_dict(), indent=1) + "\n")
    if as_bin:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder, safe_serialization=True)
        (folder / "generation_config.json").unlink(missing_ok=True)
    for path in folder.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    write("t5_tied", make_model(1), as_bin=False)
    write("t5_gated", make_model(2, feed_forward_proj="gated-gelu", tie_word_embeddings=False), as_bin=True)
