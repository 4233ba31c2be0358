#include "core/evaluation/sandbox_limits.h"

#include <charconv>
#include <cstring>

namespace ddpt {
namespace {

template <typename Limits, typename Visit>
void ForEachLimit(Limits& limits, Visit visit) {
  visit(limits.seconds);
  visit(limits.memory_bytes);
  visit(limits.processes);
  visit(limits.disk_bytes);
  visit(limits.files);
  visit(limits.descriptors);
  visit(limits.output_bytes);
}

}  // namespace

std::vector<std::string> LimitArguments(const SandboxLimits& limits) {
  std::vector<std::string> arguments;
  ForEachLimit(limits, [&](auto limit) { arguments.push_back(std::to_string(limit)); });
  return arguments;
}

std::optional<SandboxLimits> ParseLimitArguments(const char* const* arguments, int count) {
  SandboxLimits limits;
  int next = 0;
  bool good = true;
  ForEachLimit(limits, [&](auto& limit) {
    if (next == count) {
      good = false;
      return;
    }
    const char* text = arguments[next++];
    const char* end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, limit);
    good = good && error == std::errc() && rest == end;
  });
  if (!good || next != count) return std::nullopt;
  return limits;
}

}  // namespace ddpt
