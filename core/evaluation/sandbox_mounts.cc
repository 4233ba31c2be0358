#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "core/evaluation/sandbox_steps.h"

namespace ddpt {
namespace {

namespace fs = std::filesystem;

constexpr char kNewRoot[] = "/tmp";  // where it is put together: this folder is on every system
constexpr uint64_t kReadOnly = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

void Check(bool good, const std::string& step) {
  if (!good) FailStep(step);
}

void SetAttributes(const std::string& path, uint64_t attributes) {
  mount_attr change = {};
  change.attr_set = attributes;
  Check(mount_setattr(AT_FDCWD, path.c_str(), AT_RECURSIVE, &change, sizeof change) == 0,
        "mount_setattr " + path);
}

void Bind(const std::string& path, uint64_t attributes) {
  const std::string target = kNewRoot + path;
  Check(mount(path.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0,
        "bind " + path);
  SetAttributes(target, attributes);
}

void MakeFolder(const std::string& path) {
  Check(mkdir((kNewRoot + path).c_str(), 0755) == 0, "mkdir " + path);
}

// A folder of the system, or the link that it is on systems where /usr has it.
void AddSystemFolder(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (fs::is_symlink(status)) {
    const std::string target = fs::read_symlink(path, error);
    Check(symlink(target.c_str(), (kNewRoot + path).c_str()) == 0, "symlink " + path);
  } else if (fs::is_directory(status)) {
    MakeFolder(path);
    Bind(path, kReadOnly);
  }
}

void AddDevice(const std::string& path) {
  const int file = open((kNewRoot + path).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  Check(file >= 0, "create " + path);
  close(file);
  Bind(path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

void AddWorkingFolder(const SandboxLimits& limits) {
  MakeFolder("/tmp");
  const std::string options = "mode=1777,size=" + std::to_string(limits.disk_bytes) +
                              ",nr_inodes=" + std::to_string(limits.files + 1);
  Check(mount("tmpfs", (std::string(kNewRoot) + "/tmp").c_str(), "tmpfs",
              MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) == 0,
        "mount /tmp");
}

}  // namespace

void EnterPrivateRoot(const SandboxLimits& limits) {
  Check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
  Check(mount("tmpfs", kNewRoot, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") == 0,
        "mount a root");
  for (const char* folder : {"/usr", "/bin", "/lib", "/lib32", "/lib64"}) AddSystemFolder(folder);
  MakeFolder("/dev");
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"})
    AddDevice(device);
  AddWorkingFolder(limits);
  mount_attr change = {};
  change.attr_set = kReadOnly | MOUNT_ATTR_NOEXEC;
  Check(mount_setattr(AT_FDCWD, kNewRoot, 0, &change, sizeof change) == 0, "protect the root");
  // The old root comes to lie over the new one and is then taken off.
  Check(chdir(kNewRoot) == 0 && syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
  Check(umount2(".", MNT_DETACH) == 0, "unmount the old root");
  Check(chdir("/tmp") == 0, "chdir /tmp");
}

}  // namespace ddpt
