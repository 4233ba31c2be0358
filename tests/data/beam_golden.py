#!/usr/bin/env python3
"""Writes what transformers' beam search finds with the checkpoint t5_tied of t5_golden.py:

    python3 tests/data/beam_golden.py

makes t5_tied/beams.json: for each case the options, the token that ends an answer, and the answers with their scores, best
first. The encoder reads the soft prompt and an instruction of expected.safetensors. Needs torch, safetensors and transformers
(5.24.0 was used).
"""

import json
import pathlib

import torch
from safetensors.torch import load_file
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

FOLDER = pathlib.Path(__file__).parent / "t5_tied"
TOKENS = 24
# Rows of expected.safetensors, beams, length penalty, repetition penalty, and which of the likely tokens is the end.
CASES = [(0, 2, 1.0, 1.0, 0), (0, 4, 1.0, 1.0, 3), (1, 4, 0.0, 1.0, 3), (1, 4, 2.0, 1.0, 5), (2, 8, 1.0, 1.0, 8), (2, 8, -1.0, 1.0, 8),
         (0, 5, 1.0, 1.3, 2), (1, 16, 1.0, 1.0, 12), (2, 3, 0.5, 0.8, 1), (0, 16, 1.0, 1.0, None)]


def expand(states, beams):
    return BaseModelOutput(last_hidden_state=states.repeat_interleave(beams, 0))


def search(model, states, beams, length_penalty, repetition_penalty, end):
    # The penalty is on tokens of the answer, not on the start token.
    return model.generate(encoder_outputs=BaseModelOutput(last_hidden_state=states), attention_mask=torch.ones(states.shape[:2]),
                          decoder_start_token_id=0, num_beams=beams, num_return_sequences=beams, length_penalty=length_penalty,
                          logits_processor=LogitsProcessorList([RepetitionPenaltyLogitsProcessor(repetition_penalty, prompt_ignore_length=1)]),
                          max_new_tokens=TOKENS, eos_token_id=end, pad_token_id=0,
                          early_stopping=False, do_sample=False, use_cache=False, return_dict_in_generate=True, output_scores=True)


def answer(ids, end):
    ids = ids[1:].tolist()
    return ids[:ids.index(end) + 1] if end in ids else ids


def main():
    model = T5ForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval().requires_grad_(False)
    expected = load_file(FOLDER / "expected.safetensors")
    cases = []
    for row, beams, length_penalty, repetition_penalty, rank in CASES:
        embedded = torch.cat((expected["prompt"], model.shared(expected[f"instruction.{row}"].long())))
        states = model.encoder(inputs_embeds=embedded[None]).last_hidden_state
        options = (beams, length_penalty, repetition_penalty)
        # An end token that the search without an end meets, so that beams end at many lengths.
        tokens = search(model, states, *options, 299).sequences[:, 1:].flatten()
        common = tokens.unique(return_counts=True)
        end = 299 if rank is None else int(common[0][common[1].argsort(descending=True)][min(rank, len(common[0]) - 1)])
        found = search(model, states, *options, end)
        cases.append({"row": row, "num_beams": beams, "length_penalty": length_penalty, "repetition_penalty": repetition_penalty,
                      "end_token": end, "max_new_tokens": TOKENS, "answers": [answer(ids, end) for ids in found.sequences],
                      "scores": [round(score, 6) for score in found.sequences_scores.tolist()]})
    (FOLDER / "beams.json").write_text(json.dumps(cases) + "\n")
    for case in cases:
        print(case["num_beams"], case["end_token"], [len(ids) for ids in case["answers"]], case["scores"][:3])


main()
