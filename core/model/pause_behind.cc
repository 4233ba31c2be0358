#include "core/model/pause_behind.h"

#include "core/base/pause.h"

namespace ddpt {

void PauseBehind(const at::Tensor& x) {
  if (!MayPause()) return;
  PausePoint();
  if (x.requires_grad()) x.register_hook([](const at::Tensor&) { PausePoint(); });
}

}  // namespace ddpt
