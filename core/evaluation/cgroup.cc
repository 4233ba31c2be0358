#include "core/evaluation/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace ddpt {
namespace {

// Python alone, and the working directory, which is in memory too.
constexpr uint64_t kSpareMemory = 32 << 20;
// The two processes of ddpt-sandbox.
constexpr uint32_t kSpareProcesses = 2;
// Of the folders' names; the owner's process id and a number follow.
constexpr char kPrefix[] = "ddpt-sandbox-";

bool WriteTo(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool good = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return close(file) == 0 && good;
}

// Where version 2 is mounted; "": nowhere.
std::string MountPoint() {
  std::ifstream mounts("/proc/self/mounts");
  std::string device, folder, type, rest;
  while (mounts >> device >> folder >> type && std::getline(mounts, rest))
    if (type == "cgroup2") return folder;
  return "";
}

// This process's group below the mount point: "/" or "/user.slice/...".
std::string OwnGroup() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line))
    if (line.starts_with("0::/")) return line.substr(3);
  return "";
}

bool HasControllers(const std::string& folder) {
  std::ifstream file(folder + "/cgroup.subtree_control");
  bool memory = false, pids = false;
  for (std::string name; file >> name;) {
    memory = memory || name == "memory";
    pids = pids || name == "pids";
  }
  return memory && pids;
}

// Groups of processes that were killed before they could do so themselves.
void RemoveLeftGroups(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const pid_t owner = std::atoi(name.c_str() + std::strlen(kPrefix));
    if (owner > 0 && kill(owner, 0) != 0 && errno == ESRCH) rmdir(entry.path().c_str());
  }
}

std::optional<std::string> FindFolder() {
  const std::string mount = MountPoint(), group = OwnGroup();
  if (mount.empty() || group.empty()) return std::nullopt;
  const std::string folder = group == "/" ? mount : mount + group.substr(0, group.rfind('/'));
  if (!HasControllers(folder) || access(folder.c_str(), W_OK) != 0) return std::nullopt;
  RemoveLeftGroups(folder);
  return folder;
}

}  // namespace

const std::optional<std::string>& CgroupFolder() {
  static const auto* folder = new std::optional<std::string>(FindFolder());
  return *folder;
}

std::unique_ptr<const Cgroup> Cgroup::TryCreate(const SandboxLimits& limits) {
  static std::atomic<uint64_t> count = 0;
  if (!CgroupFolder()) return nullptr;
  std::string folder =
      *CgroupFolder() + "/" + kPrefix + std::to_string(getpid()) + "-" + std::to_string(count++);
  if (mkdir(folder.c_str(), 0755) != 0) return nullptr;
  std::unique_ptr<const Cgroup> cgroup(new Cgroup(std::move(folder)));
  const uint64_t memory = limits.memory_bytes + limits.disk_bytes + kSpareMemory;
  const uint64_t processes = limits.processes + kSpareProcesses;
  if (!WriteTo(cgroup->folder_ + "/memory.max", std::to_string(memory)) ||
      !WriteTo(cgroup->folder_ + "/pids.max", std::to_string(processes))) {
    return nullptr;
  }
  WriteTo(cgroup->folder_ + "/memory.swap.max", "0");  // not there without swap
  return cgroup;
}

Cgroup::~Cgroup() {
  WriteTo(folder_ + "/cgroup.kill", "1");
  rmdir(folder_.c_str());
}

bool Cgroup::OutOfMemory() const {
  std::ifstream events(folder_ + "/memory.events");
  std::string name;
  for (uint64_t count = 0; events >> name >> count;)
    if (name == "oom_kill") return count > 0;
  return false;
}

}  // namespace ddpt
