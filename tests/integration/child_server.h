#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace ddpt {

// `ddpt-server` as a process of its own, killed at the end of the object where it still runs.
class ChildServer {
 public:
  // Its standard error goes to the file `log`; "": where ours goes.
  explicit ChildServer(std::vector<std::string> arguments, const std::string& log = "");
  ~ChildServer();
  ChildServer(const ChildServer&) = delete;
  ChildServer& operator=(const ChildServer&) = delete;

  void Signal(int signal);
  // Blocks until the process ends. Its exit code, or minus the signal that ended it.
  int Wait();

 private:
  pid_t pid_ = -1;
};

// Ports that the system chooses, two workers, no log.
std::vector<std::string> ChildArguments(const std::string& state,
                                        const std::string& model = "none");

// Blocks until a server on this state directory has told where it listens: "grpc", "metrics". A
// failure after 30 s.
nlohmann::json AwaitEndpoints(const std::string& state);

}  // namespace ddpt
