#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/log.h"
#include "server/tokens.h"

namespace ddpt {

// Decides who may call what, and under which name callers are counted. Thread-safe.
class Access {
 public:
  // Reads the file of the setting `tokens`; where there is none, no token is asked. Errors name
  // setting and file. `log` outlives the object.
  static absl::StatusOr<std::unique_ptr<Access>> Open(const Config& config, const Log& log);

  // The caller of `method` ("ddpt.v1.TaskService/ListTasks"): the name of its token, else the
  // subject of its certificate, else its address without the port. Errors are those of
  // TokenFile::Check.
  absl::StatusOr<std::string> Check(std::string_view method,
                                    const grpc::ServerContextBase& context) const;

  // Guards the methods that are gRPC's own, reflection above all: our calls check themselves. Null
  // where no token is asked. The Access outlives the server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> Guard() const;

 private:
  explicit Access(std::unique_ptr<TokenFile> tokens) : tokens_(std::move(tokens)) {}

  const std::unique_ptr<TokenFile> tokens_;  // null: no token is asked
};

}  // namespace ddpt
