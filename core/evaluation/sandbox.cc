#include "core/evaluation/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/evaluation/sandbox_protocol.h"

namespace ddpt {
namespace {

absl::Status SystemError(const char* what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

absl::StatusOr<std::string> FirstExecutable(const std::vector<std::string>& paths) {
  for (const std::string& path : paths)
    if (access(path.c_str(), X_OK) == 0) return path;
  return absl::FailedPreconditionError(
      absl::StrCat("running programs needs ", paths.front(), ", which is not there"));
}

// Out of the way of the numbers that the new process is to have.
absl::StatusOr<Descriptor> Raised(Descriptor descriptor) {
  Descriptor raised(fcntl(descriptor.number(), F_DUPFD_CLOEXEC, kSandboxDescriptors));
  if (!raised.open()) return SystemError("fcntl");
  return raised;
}

class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  void Give(int descriptor, int as) { posix_spawn_file_actions_adddup2(&actions_, descriptor, as); }

  absl::StatusOr<int> Spawn(const std::vector<std::string>& command) const {
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    char* const environment[] = {nullptr};
    pid_t process = -1;
    errno =
        posix_spawn(&process, arguments[0], &actions_, &attributes_, arguments.data(), environment);
    if (errno != 0) return SystemError(arguments[0]);
    return process;
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::vector<std::string> HelperCommand(const SandboxOptions& options, const std::string& folder,
                                       const Cgroup* cgroup, const std::string& script) {
  std::vector<std::string> command = {options.helper, folder};
  for (std::string& argument : LimitArguments(options.limits)) command.push_back(argument);
  command.push_back(cgroup == nullptr ? "" : cgroup->procs_file());
  command.push_back(options.python);
  command.push_back(script);
  return command;
}

absl::StatusOr<std::string> MakeTemporaryFolder() {
  std::string folder = std::filesystem::temp_directory_path() / "ddpt-program-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return SystemError(folder.c_str());
  return folder;
}

}  // namespace

absl::StatusOr<SandboxOptions> FindPrograms(SandboxOptions options) {
  if (options.helper.empty()) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    DDPT_ASSIGN_OR_RETURN(options.helper, FirstExecutable({self.parent_path() / "ddpt-sandbox"}));
  }
  if (options.python.empty()) {
    DDPT_ASSIGN_OR_RETURN(options.python,
                          FirstExecutable({"/usr/bin/python3", "/usr/local/bin/python3"}));
  }
  return options;
}

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("pipe");
  Descriptor read(ends[0]), write(ends[1]);
  DDPT_ASSIGN_OR_RETURN(read, Raised(std::move(read)));
  DDPT_ASSIGN_OR_RETURN(write, Raised(std::move(write)));
  return Pipe{std::move(read), std::move(write)};
}

absl::StatusOr<Descriptor> MakeInput(std::string_view bytes) {
  Descriptor file(memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.open()) return SystemError("memfd_create");
  while (!bytes.empty()) {
    const ssize_t written = write(file.number(), bytes.data(), bytes.size());
    if (written < 0) return SystemError("write");
    bytes.remove_prefix(written);
  }
  lseek(file.number(), 0, SEEK_SET);
  fcntl(file.number(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  return Raised(std::move(file));
}

absl::StatusOr<SandboxedPython> SandboxedPython::Start(const SandboxOptions& options,
                                                       const std::string& script,
                                                       const Wiring& wiring) {
  DDPT_ASSIGN_OR_RETURN(Pipe control, MakePipe());
  DDPT_ASSIGN_OR_RETURN(Pipe output, MakePipe());
  DDPT_ASSIGN_OR_RETURN(Pipe status, MakePipe());
  DDPT_ASSIGN_OR_RETURN(const Descriptor nothing,
                        Raised(Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))));
  const auto or_nothing = [&](int number) { return number < 0 ? nothing.number() : number; };
  const std::array<int, kSandboxDescriptors> descriptors = {
      nothing.number(),           output.write.number(),        output.write.number(),
      or_nothing(wiring.input),   or_nothing(wiring.from_peer), or_nothing(wiring.to_peer),
      or_nothing(wiring.verdict), control.read.number(),        status.write.number()};
  SpawnSettings settings;
  for (int i = 0; i < kSandboxDescriptors; ++i) settings.Give(descriptors[i], i);
  SandboxedPython python;
  if (options.unsafe) {
    DDPT_ASSIGN_OR_RETURN(python.folder_, MakeTemporaryFolder());
  }
  python.cgroup_ = Cgroup::TryCreate(options.limits);
  DDPT_ASSIGN_OR_RETURN(
      python.helper_,
      settings.Spawn(HelperCommand(options, python.folder_, python.cgroup_.get(), script)));
  python.control_ = std::move(control.write);
  python.output_ = std::move(output.read);
  python.status_ = std::move(status.read);
  return python;
}

SandboxedPython::SandboxedPython(SandboxedPython&& other) noexcept
    : cgroup_(std::move(other.cgroup_)),
      folder_(std::exchange(other.folder_, "")),
      helper_(std::exchange(other.helper_, -1)),
      control_(std::move(other.control_)),
      output_(std::move(other.output_)),
      status_(std::move(other.status_)) {}

SandboxedPython::~SandboxedPython() {
  Kill();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

void SandboxedPython::Kill() {
  control_.Close();
  if (helper_ < 0) return;
  while (waitpid(helper_, nullptr, 0) < 0 && errno == EINTR) {
  }
  helper_ = -1;
}

}  // namespace ddpt
