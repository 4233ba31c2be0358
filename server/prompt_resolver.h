#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "core/base/tensor.h"
#include "ddpt/v1/prompt.pb.h"
#include "ddpt/v1/tensor.pb.h"
#include "server/base_model.h"
#include "server/prompt_maker.h"

namespace ddpt {

// A prompt as the model takes it.
struct ResolvedPrompt {
  std::shared_ptr<const Tensor> soft;  // or a prefix, [n, w], or null
  std::vector<uint32_t> manual_ids;    // words, or empty
  bool manual_in_decoder = false;
  std::string prompt_id;               // "" where it has none
  std::string task;                    // "" where none made it
  bool conditional = false;            // whether it depends on the instruction
  std::optional<v1::Receipt> receipt;  // where the server made it
};

// Makes what a PromptSource names ready: decodes, tokenises, samples or samples again.
// Thread-safe.
class PromptResolver {
 public:
  using Done = std::function<void(absl::StatusOr<ResolvedPrompt>)>;

  // `maker` must outlive the resolver.
  PromptResolver(std::shared_ptr<const BaseModel> base, PromptMaker& maker);

  // `done` is called once, on a worker or at once. `instruction_ids` is what conditional tasks are
  // conditioned on; `sampling` is used where the source is a task; spans begin at `trace`.
  // FieldErrors name `field`, the
  // source's path in the request, and FAILED_PRECONDITION tells a prompt of another model.
  void Resolve(const v1::PromptSource& source, const std::string& field,
               const v1::SamplingOptions& sampling, const std::vector<uint32_t>& instruction_ids,
               const StopToken& stop, const Trace& trace, const Done& done);

 private:
  absl::StatusOr<ResolvedPrompt> Decode(const v1::Tensor& embedding,
                                        const std::string& field) const;
  absl::StatusOr<ResolvedPrompt> FromMade(MadePrompts made) const;

  const std::shared_ptr<const BaseModel> base_;
  PromptMaker& maker_;
};

}  // namespace ddpt
