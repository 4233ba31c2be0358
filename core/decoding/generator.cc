#include "core/decoding/generator.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/team.h"
#include "core/decoding/best_of.h"
#include "core/decoding/generation_row.h"
#include "core/decoding/kv_need.h"
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

// Rows of one request, its choices, go through the model as one that is repeated.
LanguageModel::Prefilled Prefill(const LanguageModel& model, const Rows& rows, PrefixCache* cache) {
  std::vector<const PromptedRequest*> requests;
  std::vector<int64_t> places;  // of each row
  for (const auto& row : rows) {
    const PromptedRequest* const request = row->row().request.get();
    const auto place = std::find(requests.begin(), requests.end(), request);
    places.push_back(place - requests.begin());
    if (place == requests.end()) requests.push_back(request);
  }
  std::vector<const Tensor*> prompts;
  std::vector<std::vector<uint32_t>> inputs, prefixes;
  std::vector<int64_t> lengths;
  for (const PromptedRequest* request : requests) {
    prompts.push_back(request->soft_prompt.get());
    inputs.push_back(EncoderIds(*request));
    prefixes.push_back(DecoderIds(*request, model.geometry()));
    lengths.push_back(static_cast<int64_t>(prefixes.back().size()));
  }
  const EncoderBatch batch = WithPrompts(model, prompts, inputs);
  LanguageModel::Prefilled filled =
      model.Prefill(model.Encode(batch.embeddings, batch.mask, batch.prefixes), batch.mask,
                    PadIds(prefixes, model.geometry().device).ids, lengths, batch.prefixes, cache);
  if (requests.size() == rows.size()) return filled;
  filled.state->Select(places);
  const at::Tensor index = at::tensor(at::IntArrayRef(places), at::kLong);
  filled.logits = filled.logits.index_select(0, index.to(filled.logits.device()));
  return filled;
}

}  // namespace

class GenerationBatch::Impl {
 public:
  Impl(std::shared_ptr<const LanguageModel> model, std::shared_ptr<const Tokenizer> tokenizer,
       const Options& options)
      : model_(std::move(model)),
        tokenizer_(std::move(tokenizer)),
        usable_(UsableTokens(model_->geometry(), *tokenizer_)),
        options_(options),
        free_slots_(options.capacity),
        needs_(options.capacity, KvNeed{.rows = 0}) {
    std::iota(free_slots_.rbegin(), free_slots_.rend(), size_t{0});
  }

  size_t capacity() const { return options_.capacity; }
  size_t width() const { return capacity() - free_slots_.size(); }
  size_t load() const {
    size_t rows = 0;
    for (const KvNeed& need : Needs()) rows += need.rows;
    return rows;
  }
  size_t kv_load() const { return model_->KvBytesOf(Needs()); }

  bool HasRoom(const PromptedRequest& request, const DecodingOptions& options) const {
    if (width() == 0) return true;
    std::vector<KvNeed> needs = Needs();
    needs.push_back(KvNeedOf(request, options, model_->geometry()));
    return !free_slots_.empty() && load() + options.num_beams <= capacity() &&
           model_->KvBytesOf(needs) <= options_.kv_bytes;
  }

  absl::StatusOr<size_t> Join(GenerationRow row) {
    DDPT_RETURN_IF_ERROR(ValidateDecoding(*row.options));
    DDPT_RETURN_IF_ERROR(
        ValidateRequest(*row.request, model_->geometry(), row.options->max_new_tokens));
    if (row.options->num_beams > capacity()) {
      return FieldError("decoding.num_beams",
                        absl::StrCat(row.options->num_beams, " are more than the ", capacity(),
                                     " rows that are generated together"));
    }
    const KvNeed need = KvNeedOf(*row.request, *row.options, model_->geometry());
    DDPT_RETURN_IF_ERROR(CheckKvNeed(need, *model_, options_.kv_bytes));
    if (!HasRoom(*row.request, *row.options)) {
      return absl::ResourceExhaustedError(absl::StrCat("the batch has no room beyond its ", load(),
                                                       " rows of ", capacity(), " and ", kv_load(),
                                                       " bytes of ", options_.kv_bytes));
    }
    const size_t slot = free_slots_.back();
    free_slots_.pop_back();
    needs_[slot] = need;
    joining_.push_back(RunningRow::Create(std::move(row), slot, tokenizer_.get()));
    return slot;
  }

  void Leave(size_t slot) {
    for (Rows* rows : {&running_, &joining_}) {
      for (auto& row : *rows) {
        if (row == nullptr || row->slot() != slot || row->ended()) continue;
        row->End(std::nullopt);
        Free(slot);
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
    Continue(state_, Unended(running_));
    Report(running_, finished);
    Report(joining_, finished);
    if (!running_.empty()) {
      Continue(state_, Advance(running_, model_->Step(*state_, LastTokens(), team_)));
    }
    while (!joining_.empty()) Admit(options_.batch_invariant ? FirstRequest() : joining_.size());
    Report(running_, finished);
  }

  void Help(const std::function<bool()>& leave) { team_.Help(leave); }

 private:
  // Of the rows that have not ended.
  std::vector<KvNeed> Needs() const {
    std::vector<KvNeed> needs;
    for (const KvNeed& need : needs_) {
      if (need.rows > 0) needs.push_back(need);
    }
    return needs;
  }

  void Free(size_t slot) {
    free_slots_.push_back(slot);
    needs_[slot].rows = 0;
  }

  // Of the rows of the model those whose rows have not ended.
  static std::vector<int64_t> Unended(const Rows& rows) {
    std::vector<int64_t> kept;
    int64_t first = 0;
    for (const auto& row : rows) {
      const auto end = first + static_cast<int64_t>(row->width());
      for (int64_t i = first; i < end && !row->ended(); ++i) kept.push_back(i);
      first = end;
    }
    return kept;
  }

  // Row i of the state goes on from the old row rows[i].
  static void Continue(std::unique_ptr<DecoderState>& state, const std::vector<int64_t>& rows) {
    if (state == nullptr) return;
    if (rows.empty()) {
      state.reset();
      return;
    }
    bool same = static_cast<int64_t>(rows.size()) == state->rows();
    for (size_t i = 0; same && i < rows.size(); ++i) same = rows[i] == static_cast<int64_t>(i);
    if (!same) state->Select(rows);
  }

  at::Tensor LastTokens() const {
    std::vector<int64_t> ids;
    for (const auto& row : running_) {
      for (const uint32_t token : row->LastTokens()) ids.push_back(token);
    }
    return at::tensor(at::IntArrayRef(ids), at::kLong).to(at::Device(model_->geometry().device));
  }

  // A token more; of the rows of the model, which ones the next go on from.
  std::vector<int64_t> Advance(const Rows& rows, const at::Tensor& logits) {
    const at::Tensor values = logits.to(at::kCPU).contiguous();
    const auto vocabulary = static_cast<size_t>(values.size(1));
    auto* data = values.mutable_data_ptr<float>();
    std::vector<int64_t> continued;
    int64_t first = 0;
    for (const auto& row : rows) {
      const size_t width = row->width();
      row->Advance({data, width * vocabulary}, usable_, model_->geometry().end_token);
      data += width * vocabulary;
      if (!row->ended()) {
        for (const int64_t parent : row->Parents()) continued.push_back(first + parent);
      }
      first += static_cast<int64_t>(width);
    }
    return continued;
  }

  // How many rows of those that join are the choices of the first one's request.
  size_t FirstRequest() const {
    const auto other = std::find_if(joining_.begin(), joining_.end(), [this](const auto& row) {
      return row->row().request != joining_[0]->row().request;
    });
    return static_cast<size_t>(other - joining_.begin());
  }

  void Admit(size_t count) {
    const auto end = joining_.begin() + static_cast<ptrdiff_t>(count);
    Rows admitted(std::make_move_iterator(joining_.begin()), std::make_move_iterator(end));
    joining_.erase(joining_.begin(), end);
    const TeamScope shared(team_);
    LanguageModel::Prefilled added = Prefill(*model_, admitted, options_.prefix_cache.get());
    Continue(added.state, Advance(admitted, added.logits));
    std::move(admitted.begin(), admitted.end(), std::back_inserter(running_));
    if (state_ == nullptr) {
      state_ = std::move(added.state);
    } else if (added.state != nullptr) {
      state_->Append(std::move(added.state));
    }
  }

  // Reports and drops the rows that have ended.
  void Report(Rows& rows, std::vector<Finished>& finished) {
    std::erase_if(rows, [&](const auto& row) {
      if (row->ended() && row->status()) {
        Free(row->slot());
        finished.push_back({row->slot(), *row->status()});
      }
      return row->ended();
    });
  }

  const std::shared_ptr<const LanguageModel> model_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  const std::vector<uint8_t> usable_;
  const Options options_;
  std::vector<size_t> free_slots_;
  std::vector<KvNeed> needs_;  // by slot; of no rows where it is free
  Rows running_;               // in the order of the state's rows
  Rows joining_;
  std::unique_ptr<DecoderState> state_;
  Team team_;
};

GenerationBatch::GenerationBatch(std::shared_ptr<const LanguageModel> model,
                                 std::shared_ptr<const Tokenizer> tokenizer, const Options& options)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(tokenizer), options)) {}
GenerationBatch::~GenerationBatch() = default;
GenerationBatch::GenerationBatch(GenerationBatch&&) noexcept = default;

size_t GenerationBatch::capacity() const { return impl_->capacity(); }
size_t GenerationBatch::width() const { return impl_->width(); }
size_t GenerationBatch::load() const { return impl_->load(); }
size_t GenerationBatch::kv_load() const { return impl_->kv_load(); }
bool GenerationBatch::HasRoom(const PromptedRequest& request,
                              const DecodingOptions& options) const {
  return impl_->HasRoom(request, options);
}
absl::StatusOr<size_t> GenerationBatch::Join(GenerationRow row) {
  return impl_->Join(std::move(row));
}
void GenerationBatch::Leave(size_t slot) { impl_->Leave(slot); }
void GenerationBatch::Step(std::vector<Finished>& finished) { impl_->Step(finished); }
void GenerationBatch::Help(const std::function<bool()>& leave) { impl_->Help(leave); }

void AppendDelta(const Delta& delta, Delta* whole) {
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  whole->text += delta.text;
  append(whole->token_ids, delta.token_ids);
  append(whole->logprobs, delta.logprobs);
  whole->choice = delta.choice;
  whole->finish_reason = delta.finish_reason;
  whole->output_tokens = delta.output_tokens;
  whole->beam_score = delta.beam_score;
  whole->mean_logprob = delta.mean_logprob;
  whole->candidate_tokens = delta.candidate_tokens;
}

namespace {

std::vector<Generation> Wholes(std::vector<Delta> choices) {
  std::vector<Generation> generations;
  for (Delta& choice : choices) {
    generations.push_back({std::move(choice.text), std::move(choice.token_ids),
                           std::move(choice.logprobs), choice.beam_score, choice.mean_logprob,
                           choice.finish_reason.value_or(FinishReason::kStop)});
  }
  return generations;
}

// Adds the rows of a request, which tell their choices to choices[0..n-1].
void AddRows(const PromptedRequest& request, const std::shared_ptr<const DecodingOptions>& options,
             const StopToken& stop, Delta* choices, std::vector<GenerationRow>* rows) {
  DeltaSink sink = [choices](const Delta& delta) {
    AppendDelta(delta, &choices[delta.choice]);
    return true;
  };
  if (options->best_of > 1) {
    sink = [best = std::make_shared<BestOf>(*options, std::move(sink))](const Delta& delta) {
      return best->Take(delta);
    };
  }
  const auto shared = std::make_shared<const PromptedRequest>(request);
  for (uint32_t row = 0; row < options->rows(); ++row) {
    rows->push_back({shared, options, row, sink, stop});
  }
}

absl::Status RunRows(GenerationBatch batch, std::vector<GenerationRow> rows) {
  std::vector<GenerationBatch::Finished> finished;
  size_t next = 0;
  while (next < rows.size() || batch.width() > 0) {
    for (; next < rows.size() && batch.HasRoom(*rows[next].request, *rows[next].options); ++next) {
      DDPT_RETURN_IF_ERROR(batch.Join(std::move(rows[next])).status());
    }
    batch.Step(finished);
    for (const auto& row : finished) DDPT_RETURN_IF_ERROR(row.status);
    finished.clear();
  }
  return absl::OkStatus();
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
  std::vector<Delta> choices(options.n);
  std::vector<GenerationRow> rows;
  AddRows(request, WithLogprobs(options), stop, choices.data(), &rows);
  const size_t width = std::max<size_t>(options.num_beams, rows.size());
  DDPT_RETURN_IF_ERROR(
      RunRows(GenerationBatch(std::move(model), std::move(tokenizer), {.capacity = width}),
              std::move(rows)));
  return Wholes(std::move(choices));
}

absl::StatusOr<std::vector<Generation>> GenerateAll(std::shared_ptr<const LanguageModel> model,
                                                    std::shared_ptr<const Tokenizer> tokenizer,
                                                    const std::vector<PromptedRequest>& requests,
                                                    DecodingOptions options, size_t width,
                                                    const StopToken& stop) {
  options.n = 1;
  DDPT_RETURN_IF_ERROR(ValidateDecoding(options));
  const auto settings = WithLogprobs(options);
  std::vector<Delta> choices(requests.size());
  std::vector<GenerationRow> rows;
  for (size_t i = 0; i < requests.size(); ++i) {
    DDPT_RETURN_IF_ERROR(ValidateRequest(requests[i], model->geometry(), options.max_new_tokens));
    AddRows(requests[i], settings, stop, &choices[i], &rows);
  }
  DDPT_RETURN_IF_ERROR(
      RunRows(GenerationBatch(std::move(model), std::move(tokenizer), {.capacity = width}),
              std::move(rows)));
  return Wholes(std::move(choices));
}

}  // namespace ddpt
