#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/access.h"
#include "server/config.h"

namespace ddpt {

struct GrpcEndpoint {
  std::unique_ptr<grpc::Server> server;
  std::string address;  // with the port that was chosen
};

// Starts gRPC with the settings' address, limits and keepalive, the given services, reflection and
// grpc.health.v1. UNAVAILABLE naming the address where the port is taken. `credentials` and
// `access` outlive the server.
absl::StatusOr<GrpcEndpoint> StartGrpc(const Config& config,
                                       const std::shared_ptr<grpc::ServerCredentials>& credentials,
                                       const Access& access,
                                       const std::vector<grpc::Service*>& services);

}  // namespace ddpt
