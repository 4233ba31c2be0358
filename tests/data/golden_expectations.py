"""What codet5p_golden.py and t5_golden.py write down of a model."""

import torch
from safetensors.torch import save_file

TOKENS = [(5, 7), (9, 3), (2, 11), (512, 1), (1, 512)]  # of instruction and answer, a row each
GREEDY = 64


def answer_logprobs(logits_of, states, prefix, answer):
    logits = logits_of(states, torch.cat([prefix, answer[:-1]]))
    chosen = torch.log_softmax(logits[len(prefix) - 1:], dim=-1)
    return chosen.gather(1, answer[:, None])[:, 0]


@torch.no_grad()
def greedy(logits_of, states, prefix):
    ids, margin = prefix, float("inf")
    for _ in range(GREEDY):
        top = logits_of(states, ids)[-1].topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        ids = torch.cat([ids, top.indices[:1]])
    assert margin > 1e-3, f"two tokens too close for a golden file: {margin}"
    return ids[len(prefix):]


def save_expectations(path, embedding, encode, logits_of, prefix_of, generator):
    """Draws rows and a prompt and writes what must come of them, each row as a float32 tensor of its own.

    embedding is the encoder's, [V, w]; encode(embedded [S, w]) gives states; logits_of(states, decoder ids [T]) gives
    [T, V]; prefix_of(instruction) gives the decoder's ids before an answer.
    """
    def ids(count):
        return torch.randint(3, 256, (count,), generator=generator)

    prompt = (torch.randn(3, embedding.shape[1], generator=generator) * 0.5).requires_grad_()
    instructions, answers = ([ids(count) for count in counts] for counts in zip(*TOKENS))
    rows = {"instruction": instructions, "answer": answers, "logprobs_plain": [], "logprobs_prompted": [], "greedy": []}
    for instruction, answer in zip(instructions, answers):
        embedded, prefix = embedding[instruction], prefix_of(instruction)
        plain, prompted = encode(embedded), encode(torch.cat([prompt, embedded]))
        rows["logprobs_plain"].append(answer_logprobs(logits_of, plain, prefix, answer))
        rows["logprobs_prompted"].append(answer_logprobs(logits_of, prompted, prefix, answer))
        rows["greedy"].append(greedy(logits_of, prompted, prefix))
    loss = -torch.cat(rows["logprobs_prompted"]).mean()
    loss.backward()
    tensors = {"prompt": prompt.detach(), "prompt_gradient": prompt.grad, "loss": loss.detach()[None]}
    for name, of_rows in rows.items():
        tensors |= {f"{name}.{i}": row.detach().float() for i, row in enumerate(of_rows)}
    save_file(tensors, path)
