#include "tests/integration/raw_call.h"

#include <grpcpp/generic/generic_stub.h>

#include <optional>

#include "client/status.h"

namespace ddpt {
namespace {

// Whether the operation that was started last succeeded.
bool Await(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return ok;
}

absl::StatusOr<std::string> BytesOf(const grpc::ByteBuffer& buffer) {
  grpc::Slice bytes;
  if (!buffer.DumpToSingleSlice(&bytes).ok()) return absl::InternalError("no bytes");
  return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

}  // namespace

absl::StatusOr<std::string> RawCall(const std::shared_ptr<grpc::Channel>& channel,
                                    const std::string& method,
                                    const std::vector<std::string>& requests,
                                    const RawCallOptions& options) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  if (!options.authorization.empty()) context.AddMetadata("authorization", options.authorization);
  if (options.compress) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  context.set_deadline(std::chrono::system_clock::now() + options.timeout);
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  bool open = Await(queue);
  for (size_t i = 0; open && i < requests.size(); ++i) {
    const grpc::Slice slice(requests[i]);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    open = Await(queue);
  }
  if (open) {
    call->WritesDone(nullptr);
    Await(queue);
  }
  std::optional<absl::StatusOr<std::string>> first;
  uint64_t answers = 0;
  for (; answers < options.most_answers; ++answers) {
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    if (!Await(queue)) break;
    if (!first) first = BytesOf(answer);
  }
  if (answers == options.most_answers) context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  Await(queue);
  if (!status.ok()) return FromGrpcStatus(status);
  return first.value_or("");
}

}  // namespace ddpt
