#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/decoding/generator.h"
#include "core/runtime/step_group.h"
#include "server/base_model.h"

namespace ddpt {

// One request as a job for StepBatcher: each of its choices or candidates, or all that a beam
// search finds, is a row of a GenerationBatch, in which all requests of the model advance together,
// a token a step; rows join and leave between tokens.
class GenerateJob final : public StepJob {
 public:
  struct Options {
    std::shared_ptr<const BaseModel> base;
    GenerationBatch::Options batch = {};
    std::shared_ptr<const PromptedRequest> request;
    std::shared_ptr<const DecodingOptions> decoding;
    DeltaSink sink;  // called on workers, one call at a time
    StopToken stop;
    std::function<void()> on_start;                 // service begins
    std::function<void(const absl::Status&)> done;  // once; nothing comes to the sink after it
    std::function<void(size_t)> on_kv_load;         // GenerationBatch::kv_load before each step
  };

  explicit GenerateJob(Options options) : options_(std::move(options)) {}

  size_t rows() const override { return options_.decoding->rows(); }
  const StopToken& stop() const override { return options_.stop; }
  absl::StatusOr<std::unique_ptr<StepGroup>> MakeGroup() override;
  void Done(const absl::Status& status, const StepStats&) override { options_.done(status); }

  // For the group.
  const PromptedRequest& request() const { return *options_.request; }
  const DecodingOptions& decoding() const { return *options_.decoding; }
  GenerationRow Row(size_t index);

 private:
  Options options_;
};

}  // namespace ddpt
