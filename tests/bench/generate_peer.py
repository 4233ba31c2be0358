"""A peer of `ddpt bench generate`, for generate.py: generates with the model of DIRECTORY (random_checkpoint.py) whenever a line comes in.

    generate_peer.py ENGINE DIRECTORY DTYPE THREADS OUTPUT_TOKENS [DEVICE]

ENGINE is transformers (T5 in Hugging Face's), ctranslate2 (the same, converted), eager (the parallel-block family in PyTorch, without a cache,
as its public code runs) or cached (that with keys and values kept; these two also on a GPU). A line is JSON: {"ids": [rows of instructions], "targets": rows or null}. With targets their log-probabilities come back
(transformers and ctranslate2), else seconds: always greedy, exactly OUTPUT_TOKENS a row, the end token disabled. Needs torch and safetensors, and
the package that is named."""
import json
import pathlib
import sys
import tempfile
import time

import torch
from eager_train import Model, rotate, split
from torch.nn.functional import scaled_dot_product_attention as attend


def read(directory):
    from safetensors.torch import load_file
    weights = {}
    for shard in sorted(pathlib.Path(directory).glob("*.safetensors")):
        weights |= load_file(shard)
    return {name: weight.float() for name, weight in weights.items()}


def t5(directory):
    from transformers import T5Config, T5ForConditionalGeneration
    config = T5Config(**json.loads((pathlib.Path(directory) / "config.json").read_text()))
    config.pad_token_id = 0
    model = T5ForConditionalGeneration(config).eval()
    missing, surplus = model.load_state_dict(read(directory), strict=False)
    assert not surplus and all("embed_tokens" in name or name == "lm_head.weight" for name in missing), (missing, surplus)
    model.tie_weights()
    return model


class Transformers:
    def __init__(self, directory, dtype, threads, tokens):
        torch.set_num_threads(threads)
        self.model, self.tokens = t5(directory).to(getattr(torch, dtype)), tokens

    @torch.inference_mode()
    def generate(self, ids):
        ids = torch.tensor(ids)
        found = self.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, max_new_tokens=self.tokens,
                                    min_new_tokens=self.tokens)
        assert found.shape[1] == self.tokens + 1
        return found[:, 1:].tolist()

    @torch.inference_mode()
    def score(self, ids, targets):
        ids, targets = torch.tensor(ids), torch.tensor(targets)
        logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=targets).logits.float()
        return logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1).tolist()


class CTranslate2:
    def __init__(self, directory, dtype, threads, tokens):
        import ctranslate2
        from ctranslate2.converters.transformers import T5Loader
        model = t5(directory)
        spec = T5Loader().get_model_spec(model)
        names = [f"t{i}" for i in range(model.config.vocab_size)]
        names[model.config.decoder_start_token_id], names[model.config.eos_token_id] = "<start>", "</s>"
        names[1] = "<unk>"
        self.ids = {name: i for i, name in enumerate(names)}
        self.names, self.tokens = names, tokens
        spec.register_source_vocabulary(names)
        spec.register_target_vocabulary(names)
        spec.config.bos_token = spec.config.decoder_start_token = "<start>"
        spec.config.eos_token, spec.config.unk_token = "</s>", "<unk>"
        spec.validate()
        spec.optimize(quantization=dtype)
        self.folder = tempfile.TemporaryDirectory()
        spec.save(self.folder.name)
        del model, spec
        self.translator = ctranslate2.Translator(self.folder.name, compute_type=dtype, inter_threads=1, intra_threads=threads)

    def words(self, rows):
        return [[self.names[i] for i in row] for row in rows]

    def generate(self, ids):
        found = self.translator.translate_batch(self.words(ids), beam_size=1, max_decoding_length=self.tokens, min_decoding_length=self.tokens,
                                                max_batch_size=0)
        rows = [[self.ids[word] for word in row.hypotheses[0]] for row in found]
        assert all(len(row) == self.tokens for row in rows)
        return rows

    def score(self, ids, targets):
        return [row.log_probs[:-1] for row in self.translator.score_batch(self.words(ids), self.words(targets))]


class Eager:
    def __init__(self, directory, dtype, threads, tokens, device="cpu"):
        torch.set_num_threads(threads)
        self.model, self.tokens = Model(pathlib.Path(directory), device, getattr(torch, dtype)), tokens
        self.start = json.loads((pathlib.Path(directory) / "config.json").read_text())["decoder"]["bos_token_id"]

    def begin(self, ids):
        """The decoder's tokens before the answer, and the encoder's states."""
        device = self.model.device
        ids = torch.tensor(ids, device=device)
        states = self.model.encode(torch.zeros(len(ids), 0, self.model.config["encoder"]["n_embd"], device=device), ids)
        return torch.cat((torch.full((len(ids), 1), self.start, device=device), ids), 1), states

    @torch.inference_mode()
    def generate(self, ids):
        decoder_ids, states = self.begin(ids)
        first = decoder_ids.shape[1]
        for _ in range(self.tokens):
            chosen = self.model.logits(decoder_ids, states, decoder_ids.shape[1] - 1)[:, -1].argmax(-1, keepdim=True)
            decoder_ids = torch.cat((decoder_ids, chosen), 1)
        return decoder_ids[:, first:].tolist()


class Cached(Eager):
    prefix = "decoder.transformer."

    @torch.inference_mode()
    def generate(self, ids):
        decoder_ids, states = self.begin(ids)
        model, stack = self.model, self.model.config["decoder"]
        rows, heads = len(ids), stack["n_head"]
        shape = rows, heads, decoder_ids.shape[1] + self.tokens, stack["n_embd"] // heads
        self.caches = [(states.new_empty(shape), states.new_empty(shape)) for _ in range(stack["n_layer"])]
        self.tables = model.tables(stack, torch.arange(max(shape[2], states.shape[1]), device=model.device))
        self.cross = f"{self.prefix}h.{stack['n_layer'] - 1}.crossattention."
        value, key = split(model.linear(states, self.cross + "qkv_proj"), 2, heads)
        self.seen = rotate(key, [table[:states.shape[1]] for table in self.tables]), value
        chosen, place = [self.after(decoder_ids, 0)], decoder_ids.shape[1]
        while len(chosen) < self.tokens:
            chosen.append(self.after(chosen[-1], place))
            place += 1
        return torch.cat(chosen, 1).tolist()

    def after(self, ids, place):
        """The likeliest token [rows, 1] after ids [rows, T], which begin at a place."""
        model, stack, end = self.model, self.model.config["decoder"], place + ids.shape[1]
        heads, tables = stack["n_head"], [table[place:end] for table in self.tables]
        x = torch.nn.functional.embedding(ids, model.weights[self.prefix + "wte.weight"])
        for layer, (keys, values) in enumerate(self.caches):
            block = f"{self.prefix}h.{layer}."
            inner = model.norm(x, block + "ln_1")
            query, value, key = split(model.linear(inner, block + "attn.qkv_proj"), 3, heads)
            keys[:, :, place:end], values[:, :, place:end] = rotate(key, tables), value
            attended = attend(rotate(query, tables), keys[:, :, :end], values[:, :, :end], is_causal=place == 0)
            hidden = torch.nn.functional.gelu(model.linear(inner, block + "mlp.fc_in"), approximate="tanh")
            x = x + model.linear(attended.transpose(1, 2).flatten(2), block + "attn.out_proj") + model.linear(hidden, block + "mlp.fc_out")
        query, = split(model.linear(inner[:, -1:], self.cross + "q_attn"), 1, heads)
        attended = attend(rotate(query, [table[-1:] for table in tables]), *self.seen)
        x = x[:, -1:] + model.linear(attended.transpose(1, 2).flatten(2), self.cross + "out_proj")
        return model.linear(model.norm(x, self.prefix + "ln_f"), "decoder.lm_head").argmax(-1)


def main():
    engine, directory, dtype, threads, tokens, *device = sys.argv[1:]
    peer = {"transformers": Transformers, "ctranslate2": CTranslate2, "eager": Eager, "cached": Cached}[engine](directory, dtype, int(threads),
                                                                                                               int(tokens), *device)
    for line in sys.stdin:
        task = json.loads(line)
        if task["targets"]:
            answer = {"logprobs": peer.score(task["ids"], task["targets"])}
        else:
            began = time.perf_counter()
            answer = {"tokens": peer.generate(task["ids"]), "seconds": time.perf_counter() - began}
        print(json.dumps(answer), flush=True)


main()
