#include "core/diffusion/draw_batch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/diffusion/latent_batch.h"
#include "core/diffusion/latent_engine.h"

namespace ddpt {
namespace {

constexpr size_t kMaxCapacity = 4096;

}  // namespace

absl::Status DrawBatch::ValidateCapacity(size_t capacity) {
  if (capacity >= 1 && capacity <= kMaxCapacity) return absl::OkStatus();
  return FieldError("capacity", absl::StrCat(capacity, " is outside 1..", kMaxCapacity));
}

absl::Status DrawBatch::CheckRoom() const {
  if (width() < capacity()) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("all ", capacity(), " rows are taken"));
}

absl::Status DrawBatch::NotFinite(const SamplerTable& table, size_t step) {
  return absl::InternalError(absl::StrFormat("sampling step %d of %d (t = %d) is not finite",
                                             step + 1, table.steps.size(), table.steps[step].t));
}

absl::StatusOr<std::unique_ptr<DrawBatch>> DrawBatch::Create(
    std::shared_ptr<const LatentEngine> engine, size_t capacity) {
  DDPT_RETURN_IF_ERROR(ValidateCapacity(capacity));
  const CudaEngine* cuda = engine->cuda();
  if (cuda != nullptr) return cuda->NewBatch(std::move(engine), capacity);
  return LatentBatch::Create(std::move(engine), capacity);
}

}  // namespace ddpt
