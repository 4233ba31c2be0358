// ddpt-sandbox FOLDER LIMITS... CGROUP PYTHON SCRIPT: runs one Python process, shut in (sandbox.h,
// which is what starts it). A program of its own, because what it does to itself between being
// started and being Python is not allowed in a process that was forked from one with threads.
//
// FOLDER "": this process makes another in new namespaces, the first there, which sets them up
// and starts Python. When that ends, or the control pipe is closed, the first is ended and with it
// the kernel ends all others. Else limits alone, in that working directory.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/evaluation/sandbox_limits.h"
#include "core/evaluation/sandbox_protocol.h"
#include "core/evaluation/sandbox_steps.h"

namespace ddpt {
namespace {

constexpr int kArgumentsBefore = 2, kArgumentsAfter = 3;  // of the limits
constexpr long kNamespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
                             CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

void Report(const std::string& line) {
  [[maybe_unused]] const ssize_t written = write(kSandboxStatus, line.data(), line.size());
}

struct Command {
  const char* folder;  // "": isolated
  SandboxLimits limits;
  const char* cgroup;  // its cgroup.procs; "": none
  const char* python;
  const char* script;

  bool isolated() const { return *folder == '\0'; }
};

void JoinCgroup(const Command& command) {
  if (*command.cgroup == '\0') return;
  const int file = open(command.cgroup, O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, "0", 1) != 1) FailStep("join the control group");
  close(file);
}

[[noreturn]] void BecomePython(const Command& command) {
  ApplyResourceLimits(command.limits);
  DropPrivileges();
  FilterSystemCalls();
  const char* const arguments[] = {command.python, "-I", "-S",           "-B",
                                   "-u",           "-c", command.script, nullptr};
  const char* const environment[] = {nullptr};
  // The status pipe is closed by exec, and until then tells why there was none.
  if (close_range(kSandboxControl, kSandboxControl, 0) != 0 ||
      close_range(kSandboxStatus + 1, ~0U, 0) != 0) {
    FailStep("close_range");
  }
  execve(command.python, const_cast<char**>(arguments), const_cast<char**>(environment));
  FailStep(std::string("exec ") + command.python);
}

int Wait(int process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// So that other ends of its pipes see when Python has closed them.
void CloseWhatPythonHas() { close_range(0, kSandboxVerdict, 0); }

// The first process of the namespaces.
[[noreturn]] void Inside(const Command& command, int go) {
  char byte;
  if (read(go, &byte, 1) != 1) _exit(1);
  BecomeMappedUser();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setsid();  // else signals to the process group would leave the namespace
  EnterPrivateRoot(command.limits);
  if (sethostname("sandbox", 7) != 0) FailStep("sethostname");
  const int python = fork();
  if (python < 0) FailStep("fork");
  if (python == 0) BecomePython(command);
  CloseWhatPythonHas();
  // Orphans end up here; the first that counts is Python.
  for (;;) {
    int status = 0;
    const int ended = waitpid(-1, &status, 0);
    if (ended != python) continue;
    Report("status " + std::to_string(status) + "\n");
    _exit(0);
  }
}

// Starts the process that is to be ended as a whole.
int StartIsolated(const Command& command) {
  int go[2];
  if (pipe2(go, O_CLOEXEC) != 0) FailStep("pipe");
  // The raw call, as fork with flags: glibc's clone wants a stack.
  const int inside = static_cast<int>(syscall(SYS_clone, kNamespaces | SIGCHLD, 0, 0, 0, 0));
  if (inside < 0) FailStep("new namespaces");
  if (inside == 0) {
    close(go[1]);
    Inside(command, go[0]);
  }
  MapOneUser(inside);
  [[maybe_unused]] const ssize_t written = write(go[1], "g", 1);
  return inside;
}

int StartUnsafe(const Command& command) {
  const int python = fork();
  if (python < 0) FailStep("fork");
  if (python == 0) {
    setpgid(0, 0);
    if (chdir(command.folder) != 0) FailStep("chdir");
    BecomePython(command);
  }
  setpgid(python, python);
  return python;
}

// Until the process ends or the control pipe is closed; then nothing of it is left.
void Supervise(const Command& command, int process) {
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  pollfd waits[] = {{handle, POLLIN, 0}, {kSandboxControl, 0, 0}};
  if (handle >= 0) {
    while (poll(waits, 2, -1) < 0 && errno == EINTR) {
    }
  }
  const bool ended = handle >= 0 && waits[0].revents != 0;
  if (command.isolated()) {
    kill(process, SIGKILL);
    Wait(process);
    return;
  }
  if (ended) {
    const int status = Wait(process);
    Report("status " + std::to_string(status) + "\n");
  }
  kill(-process, SIGKILL);
  if (!ended) Wait(process);
}

}  // namespace

void FailStep(const std::string& step) {
  Report("error " + step + ": " + std::strerror(errno) + "\n");
  _exit(1);
}

}  // namespace ddpt

int main(int argc, char** argv) {
  using namespace ddpt;
  const int others = kArgumentsBefore + kArgumentsAfter;
  const auto limits =
      argc > others ? ParseLimitArguments(argv + kArgumentsBefore, argc - others) : std::nullopt;
  if (!limits || fcntl(kSandboxStatus, F_SETFD, FD_CLOEXEC) != 0) {
    static constexpr char kUsage[] = "ddpt-sandbox is started by ddpt evaluate\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kUsage, sizeof kUsage - 1);
    return 2;
  }
  const Command command = {.folder = argv[1],
                           .limits = *limits,
                           .cgroup = argv[argc - 3],
                           .python = argv[argc - 2],
                           .script = argv[argc - 1]};
  setsid();
  JoinCgroup(command);
  const int process = command.isolated() ? StartIsolated(command) : StartUnsafe(command);
  CloseWhatPythonHas();
  Supervise(command, process);
  _exit(0);
}
