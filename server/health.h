#pragma once

#include <grpcpp/health_check_service_interface.h>

#include <map>
#include <mutex>
#include <string>

namespace ddpt {

// What grpc.health.v1 says: of "" (the whole server) and of one service name per task. Thread-safe.
class Health {
 public:
  // A task can be sampled, or no longer.
  void SetTask(const std::string& task, bool serving);
  // The gRPC server's own service answers from now on; not owned.
  void Attach(grpc::HealthCheckServiceInterface* service);
  // NOT_SERVING everywhere, for good: the server stops or its device is lost.
  void Stop();

 private:
  std::mutex mutex_;
  // Guarded by mutex_:
  grpc::HealthCheckServiceInterface* service_ = nullptr;
  std::map<std::string, bool> tasks_;
  bool stopped_ = false;
};

}  // namespace ddpt
