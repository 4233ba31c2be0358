#include "tests/integration/child_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <utility>

#include "core/base/file.h"
#include "tests/integration/server_fixture.h"

extern char** environ;

namespace ddpt {

ChildServer::ChildServer(std::vector<std::string> arguments, const std::string& log) {
  arguments.insert(arguments.begin(), DDPT_SERVER_BINARY);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (!log.empty()) {
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_CREAT | O_WRONLY,
                                     0600);
  }
  EXPECT_EQ(posix_spawn(&pid_, DDPT_SERVER_BINARY, &actions, nullptr, pointers.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
}

ChildServer::~ChildServer() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    Wait();
  }
}

void ChildServer::Signal(int signal) { kill(pid_, signal); }

int ChildServer::Wait() {
  int status = 0;
  waitpid(std::exchange(pid_, -1), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::vector<std::string> ChildArguments(const std::string& state, const std::string& model) {
  return {"--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--state",   state,
          "--model",  model,         "--log-level",      "off",         "--threads", "2"};
}

nlohmann::json AwaitEndpoints(const std::string& state) {
  const auto deadline = std::chrono::steady_clock::now() + TestServer::kTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto text = ReadFile(state + "/endpoints.json", 4096);
    if (text.ok()) return nlohmann::json::parse(*text);
    std::this_thread::yield();
  }
  ADD_FAILURE() << "the server has not started";
  return {};
}

}  // namespace ddpt
