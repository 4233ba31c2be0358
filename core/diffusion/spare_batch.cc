#include "core/diffusion/spare_batch.h"

#include <utility>

namespace ddpt {

absl::StatusOr<std::unique_ptr<DrawBatch>> SpareBatch::Take(
    std::shared_ptr<const LatentEngine> engine, size_t capacity) {
  std::unique_ptr<DrawBatch> kept;
  {
    std::lock_guard lock(mutex_);
    kept = std::move(batch_);
  }
  if (kept && kept->capacity() == capacity && &kept->engine() == engine.get()) return kept;
  return DrawBatch::Create(std::move(engine), capacity);
}

void SpareBatch::Put(std::unique_ptr<DrawBatch> batch) {
  if (batch->width() > 0) return;
  std::lock_guard lock(mutex_);
  batch_.swap(batch);
}

}  // namespace ddpt
