#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "core/evaluation/sandbox_steps.h"

namespace ddpt {
namespace {

constexpr unsigned kNobody = 65534;
constexpr unsigned kInside = 1000;

void WriteMap(int process, const std::string& name, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(process) + "/" + name;
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const bool good = file >= 0 && write(file, text.data(), text.size()) == ssize_t(text.size());
  if (!good) FailStep("write " + name);
  close(file);
}

std::string Map(unsigned outside, bool root) {
  return std::to_string(kInside) + " " + std::to_string(root ? kNobody : outside) + " 1";
}

}  // namespace

void MapOneUser(int process) {
  const bool root = geteuid() == 0;
  WriteMap(process, "setgroups", "deny");
  WriteMap(process, "uid_map", Map(geteuid(), root));
  WriteMap(process, "gid_map", Map(getegid(), root));
}

void BecomeMappedUser() {
  if (setresgid(kInside, kInside, kInside) != 0) FailStep("setresgid");
  if (setresuid(kInside, kInside, kInside) != 0) FailStep("setresuid");
}

void DropPrivileges() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) FailStep("no_new_privs");
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) FailStep("capset");
}

}  // namespace ddpt
