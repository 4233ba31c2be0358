#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/decoding/options.h"
#include "core/decoding/request.h"

namespace ddpt {

class LanguageModel;
class PrefixCache;
class Tokenizer;

enum class FinishReason { kStop, kLength };

// News of one choice; of beam search and of best_of all of it at once, the best choice first.
// `text` never splits a character; joined, the texts are the answer up to its stop string or end
// token. `token_ids` has every generated token, those of the stop string and the end token
// included.
struct Delta {
  uint32_t choice = 0;
  std::string text;
  std::vector<uint32_t> token_ids;
  std::vector<float> logprobs;                // with DecodingOptions::logprobs, one a token
  std::optional<FinishReason> finish_reason;  // set in the last delta of the choice
  uint32_t output_tokens = 0;                 // of the choice so far
  std::optional<double> beam_score;           // of beam search: its sum of log-probabilities after
                                              // the penalty, over tokens^length_penalty
  std::optional<double> mean_logprob;         // with best_of: of its tokens
  uint32_t candidate_tokens = 0;              // with best_of: of all candidates together
};

// Puts what `delta` tells behind what `whole` has.
void AppendDelta(const Delta& delta, Delta* whole);

// Gets each delta; false ends the choice with CANCELLED. Called on the thread that steps, between
// tokens: it must not block. Deltas are sent for tokens without text too.
using DeltaSink = std::function<bool(const Delta&)>;

// One choice, or candidate of best_of, of one request. Those of one request differ in `choice`
// alone, and draw different random numbers because of it.
struct GenerationRow {
  std::shared_ptr<const PromptedRequest> request;
  std::shared_ptr<const DecodingOptions> options;
  uint32_t choice = 0;
  DeltaSink sink;
  StopToken stop;
};

// Rows that advance together, a token a step; they join and leave between tokens. A beam search is
// one row here and num_beams rows of the model.
//
//   GenerationBatch batch(model, tokenizer, {.capacity = 16});
//   size_t slot = *batch.Join(row);
//   while (batch.width() > 0) batch.Step(finished);   // (slot, status) of each row that ended
//
// A row's tokens do not depend on its neighbours (up to float rounding of the logits, or to the bit
// where Options::batch_invariant says so) and are a function of request, options and choice. Not
// thread-safe; may move between threads. LibTorch's exceptions pass through Step, after which the
// batch must be destroyed.
class GenerationBatch {
 public:
  struct Finished {
    size_t slot;
    absl::Status status;  // OK, CANCELLED, DEADLINE_EXCEEDED, or INTERNAL for logits that are NaN
  };

  struct Options {
    size_t capacity = 16;  // rows that advance together
    // For their keys and values, each row being counted as long as it may get.
    size_t kv_bytes = std::numeric_limits<size_t>::max();
    // Each request goes through the encoder by itself. Steps are of fixed order anyway, where the
    // processor has kernels for them (core/model/kernels.h), so there a row's logits are the same
    // bits in any company; elsewhere they are not.
    bool batch_invariant = false;
    // What the decoder has made of instructions before; null: nothing is kept. Its memory is beside
    // kv_bytes.
    std::shared_ptr<PrefixCache> prefix_cache = nullptr;
  };

  GenerationBatch(std::shared_ptr<const LanguageModel> model,
                  std::shared_ptr<const Tokenizer> tokenizer, const Options& options);
  ~GenerationBatch();
  GenerationBatch(GenerationBatch&&) noexcept;

  // Rows, and rows of the model, at most.
  size_t capacity() const;
  // Rows that have joined and not ended.
  size_t width() const;
  // Rows of the model that they may take; 0..capacity().
  size_t load() const;
  // Bytes of keys and values that they may take; 0..Options::kv_bytes.
  size_t kv_load() const;
  // Whether there is a slot for a row of this valid request, rows of the model for its beams, and
  // memory. An empty batch has room for all: Join tells what will never fit.
  bool HasRoom(const PromptedRequest& request, const DecodingOptions& options) const;
  // Takes the row in, at the next step; the slot is 0..capacity()-1. The FieldErrors of
  // ValidateRequest, ValidateDecoding and CheckKvNeed, and of more beams than capacity();
  // RESOURCE_EXHAUSTED where there is no room now.
  absl::StatusOr<size_t> Join(GenerationRow row);
  // Gives up the row in `slot`, which hears nothing more. Cheap.
  void Leave(size_t slot);
  // Ends the rows whose StopToken has stopped; encodes and prefills those that have joined; one
  // token more for every row. Appends the rows that ended, their slots free again. Blocks.
  void Step(std::vector<Finished>& finished);
  // Lends the calling thread to the steps that another takes, until `leave` says true or no step
  // has come for some microseconds; on a processor alone they have work for it. Thread-safe, also
  // beside all other calls.
  void Help(const std::function<bool()>& leave);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A whole choice.
struct Generation {
  std::string text;
  std::vector<uint32_t> token_ids;
  std::vector<float> logprobs;  // always
  std::optional<double> beam_score;
  std::optional<double> mean_logprob;  // with best_of
  FinishReason finish_reason = FinishReason::kStop;
};

// Runs one request alone to its end: options.n choices in order, of beam search and best_of the
// best first.
// Blocks.
absl::StatusOr<std::vector<Generation>> Generate(std::shared_ptr<const LanguageModel> model,
                                                 std::shared_ptr<const Tokenizer> tokenizer,
                                                 const PromptedRequest& request,
                                                 const DecodingOptions& options,
                                                 const StopToken& stop = {});

// Runs many requests (one choice each, whatever options.n is) in batches of at most `width` rows of
// the model; results in order. Blocks. The first error ends all.
absl::StatusOr<std::vector<Generation>> GenerateAll(std::shared_ptr<const LanguageModel> model,
                                                    std::shared_ptr<const Tokenizer> tokenizer,
                                                    const std::vector<PromptedRequest>& requests,
                                                    DecodingOptions options, size_t width,
                                                    const StopToken& stop = {});

}  // namespace ddpt
