#include "core/base/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace ddpt {
namespace {

// What the system says is available, in bytes.
std::optional<uint64_t> SystemMemory() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  uint64_t kilobytes = 0;
  while (file >> key >> kilobytes) {
    if (key == "MemAvailable:") return kilobytes << 10;
    std::getline(file, unit);
  }
  return std::nullopt;
}

// What the limit of the control group leaves (version 2, as in a container); nothing without one.
std::optional<uint64_t> GroupMemory() {
  std::ifstream limit_file("/sys/fs/cgroup/memory.max"), used_file("/sys/fs/cgroup/memory.current");
  uint64_t limit = 0, used = 0;
  if (!(limit_file >> limit) || !(used_file >> used)) return std::nullopt;
  return limit > used ? limit - used : 0;
}

}  // namespace

uint64_t FreeMemory() {
  const auto system = SystemMemory(), group = GroupMemory();
  if (system && group) return std::min(*system, *group);
  return system.value_or(group.value_or(0));
}

uint64_t PeakMemory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) << 10;
}

}  // namespace ddpt
