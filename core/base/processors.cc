#include "core/base/processors.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

namespace ddpt {

std::optional<size_t> ProcessorsOfQuota(const std::string& cpu_max) {
  std::istringstream text(cpu_max);
  size_t quota = 0, period = 0;
  if (!(text >> quota >> period) || period == 0) return std::nullopt;
  return std::max<size_t>(1, quota / period);
}

size_t UsableProcessors() {
  cpu_set_t mine;
  // Fails on machines with more processors than a set has room for.
  const size_t processors = sched_getaffinity(0, sizeof(mine), &mine) == 0
                                ? static_cast<size_t>(CPU_COUNT(&mine))
                                : std::thread::hardware_concurrency();
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string cpu_max;
  std::getline(file, cpu_max);
  return std::max<size_t>(1, std::min(processors, ProcessorsOfQuota(cpu_max).value_or(processors)));
}

}  // namespace ddpt
