#include "core/decoding/generator.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/decoding/generation_row.h"
#include "core/model/batch.h"
#include "core/model/decoder_trunk.h"
#include "core/text/tokenizer.h"

namespace ddpt {
namespace {

using Rows = std::vector<std::unique_ptr<RunningRow>>;

std::vector<uint8_t> UsableTokens(const ModelGeometry& geometry, const Tokenizer& tokenizer) {
  std::vector<uint8_t> usable(geometry.vocabulary_size);
  for (size_t id = 0; id < usable.size(); ++id) {
    usable[id] = tokenizer.HasToken(static_cast<uint32_t>(id));
  }
  usable[geometry.end_token] = 1;
  return usable;
}

LanguageModel::Prefilled Prefill(const LanguageModel& model, const Rows& rows) {
  std::vector<const Tensor*> prompts;
  std::vector<std::vector<uint32_t>> inputs, prefixes;
  std::vector<int64_t> lengths;
  for (const auto& row : rows) {
    const PromptedRequest& request = *row->row().request;
    prompts.push_back(request.soft_prompt.get());
    inputs.push_back(EncoderIds(request));
    prefixes.push_back(DecoderIds(request, model.geometry()));
    lengths.push_back(static_cast<int64_t>(prefixes.back().size()));
  }
  const EncoderBatch batch = WithPrompts(model, prompts, inputs);
  return model.Prefill(model.Encode(batch.embeddings, batch.mask, batch.prefixes), batch.mask,
                       PadIds(prefixes, model.geometry().device).ids, lengths, batch.prefixes);
}

}  // namespace

class GenerationBatch::Impl {
 public:
  Impl(std::shared_ptr<const LanguageModel> model, std::shared_ptr<const Tokenizer> tokenizer,
       size_t capacity)
      : model_(std::move(model)),
        tokenizer_(std::move(tokenizer)),
        usable_(UsableTokens(model_->geometry(), *tokenizer_)),
        capacity_(capacity),
        free_slots_(capacity) {
    std::iota(free_slots_.rbegin(), free_slots_.rend(), size_t{0});
  }

  size_t capacity() const { return capacity_; }
  size_t width() const { return capacity_ - free_slots_.size(); }

  absl::StatusOr<size_t> Join(GenerationRow row) {
    DDPT_RETURN_IF_ERROR(ValidateDecoding(*row.options));
    DDPT_RETURN_IF_ERROR(
        ValidateRequest(*row.request, model_->geometry(), row.options->max_new_tokens));
    if (free_slots_.empty()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the batch has no room beyond its ", capacity_, " rows"));
    }
    const size_t slot = free_slots_.back();
    free_slots_.pop_back();
    joining_.push_back(std::make_unique<RunningRow>(std::move(row), slot, tokenizer_.get()));
    return slot;
  }

  void Leave(size_t slot) {
    for (Rows* rows : {&running_, &joining_}) {
      for (auto& row : *rows) {
        if (row == nullptr || row->slot() != slot || row->ended()) continue;
        row->End(std::nullopt);
        free_slots_.push_back(slot);
      }
    }
  }

  void Step(std::vector<Finished>& finished) {
    const c10::NoGradGuard no_grad;
    for (Rows* rows : {&running_, &joining_}) {
      for (auto& row : *rows) {
        if (!row->ended() && row->row().stop.stopped()) row->End(row->row().stop.status());
      }
    }
    Sweep(finished);
    if (!running_.empty()) AdvanceAll(running_, model_->Step(*state_, LastTokens()));
    if (!joining_.empty()) Admit();
    Sweep(finished);
  }

 private:
  at::Tensor LastTokens() const {
    std::vector<int64_t> ids;
    for (const auto& row : running_) ids.push_back(row->last_token());
    return at::tensor(at::IntArrayRef(ids), at::kLong).to(at::Device(model_->geometry().device));
  }

  void AdvanceAll(Rows& rows, const at::Tensor& logits) {
    const at::Tensor values = logits.to(at::kCPU).contiguous();
    const auto vocabulary = static_cast<size_t>(values.size(1));
    auto* data = values.mutable_data_ptr<float>();
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i]->Advance({data + i * vocabulary, vocabulary}, usable_, model_->geometry().end_token);
    }
  }

  void Admit() {
    LanguageModel::Prefilled added = Prefill(*model_, joining_);
    AdvanceAll(joining_, added.logits);
    if (state_ == nullptr) {
      state_ = std::move(added.state);
    } else {
      state_->Append(std::move(added.state));
    }
    std::move(joining_.begin(), joining_.end(), std::back_inserter(running_));
    joining_.clear();
  }

  // Reports and drops the rows that have ended.
  void Sweep(std::vector<Finished>& finished) {
    std::vector<int64_t> kept;
    for (size_t i = 0; i < running_.size(); ++i) {
      if (!running_[i]->ended()) kept.push_back(static_cast<int64_t>(i));
    }
    if (kept.empty()) {
      state_.reset();
    } else if (kept.size() < running_.size()) {
      state_->Select(kept);
    }
    for (Rows* rows : {&running_, &joining_}) {
      std::erase_if(*rows, [&](const auto& row) {
        if (row->ended() && row->status()) {
          free_slots_.push_back(row->slot());
          finished.push_back({row->slot(), *row->status()});
        }
        return row->ended();
      });
    }
  }

  const std::shared_ptr<const LanguageModel> model_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  const std::vector<uint8_t> usable_;
  const size_t capacity_;
  std::vector<size_t> free_slots_;
  Rows running_;  // in the order of the state's rows
  Rows joining_;
  std::unique_ptr<DecoderState> state_;
};

GenerationBatch::GenerationBatch(std::shared_ptr<const LanguageModel> model,
                                 std::shared_ptr<const Tokenizer> tokenizer, size_t capacity)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(tokenizer), capacity)) {}
GenerationBatch::~GenerationBatch() = default;
GenerationBatch::GenerationBatch(GenerationBatch&&) noexcept = default;

size_t GenerationBatch::capacity() const { return impl_->capacity(); }
size_t GenerationBatch::width() const { return impl_->width(); }
absl::StatusOr<size_t> GenerationBatch::Join(GenerationRow row) {
  return impl_->Join(std::move(row));
}
void GenerationBatch::Leave(size_t slot) { impl_->Leave(slot); }
void GenerationBatch::Step(std::vector<Finished>& finished) { impl_->Step(finished); }

namespace {

void Collect(const Delta& delta, Generation* generation) {
  generation->text += delta.text;
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(generation->token_ids, delta.token_ids);
  append(generation->logprobs, delta.logprobs);
  if (delta.finish_reason) generation->finish_reason = *delta.finish_reason;
}

absl::StatusOr<std::vector<Generation>> RunRows(GenerationBatch batch,
                                                std::vector<GenerationRow> rows) {
  std::vector<Generation> generations(rows.size());
  std::vector<GenerationBatch::Finished> finished;
  size_t next = 0;
  while (next < rows.size() || batch.width() > 0) {
    for (; next < rows.size() && batch.width() < batch.capacity(); ++next) {
      rows[next].sink = [to = &generations[next]](const Delta& delta) {
        Collect(delta, to);
        return true;
      };
      DDPT_RETURN_IF_ERROR(batch.Join(std::move(rows[next])).status());
    }
    batch.Step(finished);
    for (const auto& row : finished) DDPT_RETURN_IF_ERROR(row.status);
    finished.clear();
  }
  return generations;
}

std::shared_ptr<const DecodingOptions> WithLogprobs(DecodingOptions options) {
  options.logprobs = true;
  return std::make_shared<const DecodingOptions>(std::move(options));
}

}  // namespace

absl::StatusOr<std::vector<Generation>> Generate(std::shared_ptr<const LanguageModel> model,
                                                 std::shared_ptr<const Tokenizer> tokenizer,
                                                 const PromptedRequest& request,
                                                 const DecodingOptions& options,
                                                 const StopToken& stop) {
  DDPT_RETURN_IF_ERROR(ValidateDecoding(options));
  const auto shared = std::make_shared<const PromptedRequest>(request);
  const auto settings = WithLogprobs(options);
  std::vector<GenerationRow> rows;
  for (uint32_t choice = 0; choice < options.n; ++choice) {
    rows.push_back({shared, settings, choice, nullptr, stop});
  }
  return RunRows(GenerationBatch(std::move(model), std::move(tokenizer), options.n),
                 std::move(rows));
}

absl::StatusOr<std::vector<Generation>> GenerateAll(std::shared_ptr<const LanguageModel> model,
                                                    std::shared_ptr<const Tokenizer> tokenizer,
                                                    const std::vector<PromptedRequest>& requests,
                                                    const DecodingOptions& options, size_t width,
                                                    const StopToken& stop) {
  const auto settings = WithLogprobs(options);
  std::vector<GenerationRow> rows;
  for (const PromptedRequest& request : requests) {
    rows.push_back({std::make_shared<const PromptedRequest>(request), settings, 0, nullptr, stop});
  }
  return RunRows(GenerationBatch(std::move(model), std::move(tokenizer), width), std::move(rows));
}

}  // namespace ddpt
