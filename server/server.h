#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/stop_token.h"
#include "server/config.h"

namespace ddpt {

// The whole service in one object: registry, engines, workers, gRPC and metrics ports.
//   Create (starting) -> Serve (ready) -> Shutdown(deadline) (draining, stopped) -> destruction
// Several may live in one process (tests do so), each with its own state directory. Thread-safe:
// Shutdown may be called while another thread is in Wait.
class Server {
 public:
  // Opens the state directory and the metrics port, which says "starting" from then on. Blocks on
  // disk. FAILED_PRECONDITION where another process holds the state directory, UNAVAILABLE naming
  // the address where a port is taken.
  static absl::StatusOr<std::unique_ptr<Server>> Create(Config config);
  // Shutdown(now), if that has not been done.
  ~Server();

  // Loads what the settings name, imports `import_tasks`, lets the model answer a request and
  // builds the engines of active tasks, which may take minutes; then binds the gRPC port and
  // answers: health is SERVING. Does not block on requests. Writes `<state>/endpoints.json`:
  // {"grpc": "127.0.0.1:50051", "metrics": "127.0.0.1:9464", "pid": 1}.
  absl::Status Serve();
  // Health becomes NOT_SERVING at once and new calls UNAVAILABLE ("draining"); accepted ones may
  // end until `deadline`, what is left then is told UNAVAILABLE. Blocks until all is over. Only the
  // first call does anything; others wait for it.
  void Shutdown(TimePoint deadline);
  // Blocks until a Shutdown has ended.
  void Wait();

  // "127.0.0.1:43211", with the port that was chosen; after Serve, of the metrics after Create.
  // metrics_address is "" where there is none.
  std::string address() const;
  std::string metrics_address() const;

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ddpt
