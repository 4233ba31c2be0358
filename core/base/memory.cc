#include "core/base/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace ddpt {
namespace {

// The number that follows `key` in a file of such pairs.
std::optional<uint64_t> ReadPair(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string name, rest;
  uint64_t value = 0;
  while (file >> name >> value) {
    if (name == key) return value;
    std::getline(file, rest);
  }
  return std::nullopt;
}

std::optional<uint64_t> SystemMemory() {
  const auto kilobytes = ReadPair("/proc/meminfo", "MemAvailable:");
  if (!kilobytes) return std::nullopt;
  return *kilobytes << 10;
}

// Of a control group of version 2; nothing without a limit.
std::optional<uint64_t> GroupMemory() {
  std::ifstream limit_file("/sys/fs/cgroup/memory.max"), used_file("/sys/fs/cgroup/memory.current");
  uint64_t limit = 0, used = 0;
  if (!(limit_file >> limit) || !(used_file >> used)) return std::nullopt;
  const uint64_t files = ReadPair("/sys/fs/cgroup/memory.stat", "inactive_file").value_or(0);
  used -= std::min(used, files);
  return limit - std::min(limit, used);
}

}  // namespace

std::optional<uint64_t> FreeMemory() {
  const auto system = SystemMemory(), group = GroupMemory();
  if (system && group) return std::min(*system, *group);
  return system ? system : group;
}

uint64_t PeakMemory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) << 10;
}

}  // namespace ddpt
