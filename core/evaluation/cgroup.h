#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/evaluation/sandbox_limits.h"

namespace ddpt {

// The folder in which this process may make control groups (version 2) with limits of memory and
// processes: that above its own group, or its own where that is the root. None where the system has
// no such folder, or another user owns it. Looked up once; groups that processes have left in it
// which were killed are then removed.
const std::optional<std::string>& CgroupFolder();

// A control group for one sandbox, whose processes together then have the memory and the number of
// processes that each would have alone. Gone, with all processes in it, when the object is
// destroyed. Not thread-safe.
class Cgroup {
 public:
  // Null where there is no CgroupFolder, or the system refuses.
  static std::unique_ptr<const Cgroup> TryCreate(const SandboxLimits& limits);
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  // The file to which a process writes "0" to join.
  std::string procs_file() const { return folder_ + "/cgroup.procs"; }
  // Whether the system ended a process of it because of the memory limit.
  bool OutOfMemory() const;

 private:
  explicit Cgroup(std::string folder) : folder_(std::move(folder)) {}

  const std::string folder_;
};

}  // namespace ddpt
