#include "server/grpc_endpoint.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include "absl/strings/str_cat.h"
#include "core/base/address.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kReflectionThreads = 32;

int Milliseconds(std::chrono::milliseconds duration) { return static_cast<int>(duration.count()); }

void SetArguments(const Config& config, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(config.max_message_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(config.max_message_bytes));
  // A message is held to its limit after it has been unpacked, so it comes as it is.
  for (const auto algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP}) {
    builder.SetCompressionAlgorithmSupportStatus(algorithm, false);
  }
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // Otherwise a second server on the port would share its connections instead of failing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(config.max_streams));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(config.keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             Milliseconds(config.min_ping_interval));
  if (config.max_connection_age.count() == 0) return;
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             Milliseconds(config.max_connection_age));
  if (config.max_connection_age_grace.count() == 0) return;
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             Milliseconds(config.max_connection_age_grace));
}

}  // namespace

absl::StatusOr<GrpcEndpoint> StartGrpc(const Config& config,
                                       const std::shared_ptr<grpc::ServerCredentials>& credentials,
                                       const Access& access,
                                       const std::vector<grpc::Service*>& services) {
  DDPT_ASSIGN_OR_RETURN(const auto parts, SplitAddress("listen", config.listen));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetArguments(config, builder);
  // Of reflection, whose streams hold a thread each; all else here needs none.
  builder.SetResourceQuota(grpc::ResourceQuota().SetMaxThreads(kReflectionThreads));
  if (auto guard = access.Guard()) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> guards;
    guards.push_back(std::move(guard));
    builder.experimental().SetInterceptorCreators(std::move(guards));
  }
  int port = 0;
  builder.AddListeningPort(config.listen, credentials, &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  GrpcEndpoint endpoint;
  endpoint.server = builder.BuildAndStart();
  if (!endpoint.server || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("listen: cannot listen on ", config.listen, ": is it taken?"));
  }
  endpoint.address = absl::StrCat(parts.first, ":", port);
  return endpoint;
}

}  // namespace ddpt
