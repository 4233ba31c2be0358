#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "core/base/descriptor.h"
#include "core/evaluation/cgroup.h"
#include "core/evaluation/sandbox_limits.h"

namespace ddpt {

// What a process is shut in with.
struct SandboxOptions {
  SandboxLimits limits = {};
  // Without namespaces: the limits hold, but a program, which begins in a new folder for temporary
  // files, sees the file system and the network, and may leave processes behind. For systems that
  // deny namespaces, and programs that are trusted.
  bool unsafe = false;
  std::string helper = {};  // the program ddpt-sandbox; "": the one beside the running program
  std::string python = {};  // under /usr; "": /usr/bin/python3, or else /usr/local/bin/python3
};

// The helper and Python found; FAILED_PRECONDITION tells what is missing.
absl::StatusOr<SandboxOptions> FindPrograms(SandboxOptions options);

// A pipe. Descriptors are closed by exec and lie above those of sandbox_protocol.h.
struct Pipe {
  Descriptor read, write;
};
absl::StatusOr<Pipe> MakePipe();

// `bytes` as something that a process can read from its beginning and nobody can change.
absl::StatusOr<Descriptor> MakeInput(std::string_view bytes);

// One Python process (isolated mode, no site packages) in a sandbox, running a script:
//
//   namespaces    user, pid, network, mount, IPC, UTS, cgroup: no other process, no network
//   files         /usr and its libraries, read-only; four devices; an empty /tmp in memory, the
//   working
//                 directory; no /proc, no /etc
//   privileges    a user without any, no_new_privs, no capabilities, calls of the system filtered
//   environment   empty; descriptors of SandboxDescriptor, standard input empty
//   resources     SandboxLimits; where the system lets this process make control groups (cgroup.h),
//   the
//                 limit of memory holds for all processes together, else for each
//
// When the object is destroyed, or the process that owns it dies in any way, the kernel has ended
// the Python process and everything it started. Not thread-safe; different objects are independent,
// also in threads.
class SandboxedPython {
 public:
  // What the process gets besides; -1: nothing. Owned by the caller.
  struct Wiring {
    int input = -1, from_peer = -1, to_peer = -1, verdict = -1;
  };

  // Does not wait for the process. `options` are those of FindPrograms.
  static absl::StatusOr<SandboxedPython> Start(const SandboxOptions& options,
                                               const std::string& script, const Wiring& wiring);
  SandboxedPython(SandboxedPython&& other) noexcept;
  ~SandboxedPython();

  // Ends all and waits until they have ended. May be called again.
  void Kill();

  // Reading ends, to be waited for: what it prints, and how it ended ("status N\n", of waitpid) or
  // why it could not be started ("error TEXT\n").
  int output() const { return output_.number(); }
  int status() const { return status_.number(); }
  // Whether the system ended a process because all together had too much memory.
  bool OutOfMemory() const { return cgroup_ && cgroup_->OutOfMemory(); }

 private:
  SandboxedPython() = default;

  std::unique_ptr<const Cgroup> cgroup_;  // outlives what is in it; null: none
  std::string folder_;                    // to be removed in the end; "": none
  int helper_ = -1;                       // process; -1: none
  Descriptor control_, output_, status_;
};

}  // namespace ddpt
