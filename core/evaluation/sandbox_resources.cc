#include <sys/resource.h>

#include "core/evaluation/sandbox_steps.h"

namespace ddpt {

void ApplyResourceLimits(const SandboxLimits& limits) {
  const auto apply = [](auto resource, rlim_t value) {
    const rlimit both = {value, value};
    if (setrlimit(resource, &both) != 0) FailStep("setrlimit");
  };
  apply(RLIMIT_AS, limits.memory_bytes);
  apply(RLIMIT_CPU, limits.seconds + 1);
  apply(RLIMIT_NPROC, limits.processes);
  apply(RLIMIT_FSIZE, limits.disk_bytes);
  apply(RLIMIT_NOFILE, limits.descriptors);
  apply(RLIMIT_CORE, 0);
  apply(RLIMIT_MEMLOCK, 0);
  apply(RLIMIT_MSGQUEUE, 0);
}

}  // namespace ddpt
