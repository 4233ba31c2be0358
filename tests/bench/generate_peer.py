"""A peer of `ddpt bench generate`, for generate.py: generates with the model of DIRECTORY (random_checkpoint.py) whenever a line comes in.

    generate_peer.py ENGINE DIRECTORY DTYPE THREADS OUTPUT_TOKENS

ENGINE is transformers (T5 in Hugging Face's), ctranslate2 (the same, converted) or eager (the parallel-block family in PyTorch, without a cache,
as its public code runs). A line is JSON: {"ids": [rows of instructions], "targets": rows or null}. With targets their log-probabilities come back
(transformers and ctranslate2), else seconds: always greedy, exactly OUTPUT_TOKENS a row, the end token disabled. Needs torch and safetensors, and
the package that is named."""
import json
import pathlib
import sys
import tempfile
import time

import torch


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
    def __init__(self, directory, dtype, threads, tokens):
        from eager_train import Model
        torch.set_num_threads(threads)
        self.model, self.tokens = Model(pathlib.Path(directory), "cpu", getattr(torch, dtype)), tokens
        self.start = json.loads((pathlib.Path(directory) / "config.json").read_text())["decoder"]["bos_token_id"]

    @torch.inference_mode()
    def generate(self, ids):
        ids = torch.tensor(ids)
        states = self.model.encode(torch.zeros(len(ids), 0, self.model.config["encoder"]["n_embd"]), ids)
        decoder_ids, first = torch.cat((torch.full((len(ids), 1), self.start), ids), 1), ids.shape[1] + 1
        for _ in range(self.tokens):
            chosen = self.model.logits(decoder_ids, states, decoder_ids.shape[1] - 1)[:, -1].argmax(-1, keepdim=True)
            decoder_ids = torch.cat((decoder_ids, chosen), 1)
        return decoder_ids[:, first:].tolist()


def main():
    engine, directory, dtype, threads, tokens = sys.argv[1:]
    peer = {"transformers": Transformers, "ctranslate2": CTranslate2, "eager": Eager}[engine](directory, dtype, int(threads), int(tokens))
    for line in sys.stdin:
        task = json.loads(line)
        if task["targets"]:
            answer = {"logprobs": peer.score(task["ids"], task["targets"])}
        else:
            began = time.perf_counter()
            answer = {"tokens": peer.generate(task["ids"]), "seconds": time.perf_counter() - began}
        print(json.dumps(answer), flush=True)


main()
