#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "server/access.h"
#include "server/base_model.h"
#include "server/config.h"
#include "server/log.h"
#include "server/server.h"
#include "server/tls.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "ddpt-server: %s\n", std::string(status.message()).c_str());
  return 1;
}

int Check(const ddpt::Config& config) {
  const ddpt::Log silent("off");
  const absl::Status tls = ddpt::MakeCredentials(config, silent).status();
  if (!tls.ok()) return Fail(tls);
  const absl::Status access = ddpt::Access::Open(config, silent).status();
  if (!access.ok()) return Fail(access);
  const auto model = ddpt::DescribeModel(config);
  if (!model.ok()) return Fail(model.status());
  return std::printf("the settings are valid\n%s", model->c_str()) < 0;
}

int SelfTest(const ddpt::Config& config) {
  constexpr int kNotPlausible = 3;
  const auto result = ddpt::SelfTestModel(config);
  if (!result.ok()) return Fail(result.status());
  std::fputs(result->first.c_str(), stdout);
  return result->second ? 0 : kNotPlausible;
}

// SIGTERM and SIGINT, kept from all threads so that one can wait for them.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

int Run(int argc, char** argv) {
  // gRPC's mutexes look for deadlocks in builds of Abseil for debugging, as Debian's is: 3 to 5 %
  // of what a call takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const sigset_t signals = BlockStopSignals();
  const auto line = ddpt::ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc),
                                           ddpt::ProcessEnvironment());
  if (!line.ok()) return Fail(line.status());
  if (line->text) return std::fputs(line->text->c_str(), stdout) < 0;
  if (line->check) return Check(line->config);
  if (line->self_test) return SelfTest(line->config);

  static const ddpt::Log log(line->config.log_level);
  ddpt::TakeLibraryLogs(log);
  auto server = ddpt::Server::Create(line->config);
  if (!server.ok()) return Fail(server.status());
  if (const absl::Status status = (*server)->Serve(); !status.ok()) return Fail(status);

  int signal = 0;
  sigwait(&signals, &signal);
  std::thread([signals] {
    int second = 0;
    sigwait(&signals, &second);
    std::_Exit(130);
  }).detach();
  (*server)->Shutdown(std::chrono::steady_clock::now() + line->config.drain_timeout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {  // LibTorch's, or a GPU's
    return Fail(absl::InternalError(error.what()));
  }
}
