#pragma once

#include <memory>
#include <string>

#include "ddpt/v1/task.pb.h"
#include "server/call.h"
#include "server/task_catalog.h"
#include "server/upload.h"

namespace ddpt {

// One TaskService.ImportTask call: a header, then chunks, then the version. Each message is handled
// on the control pool before the next is read, so a caller is never ahead of the disk. Owns itself.
class ImportCall final : public grpc::ServerReadReactor<v1::ImportTaskRequest> {
 public:
  // Stores what has arrived in full; fills the response.
  using Store = std::function<absl::Status(const v1::ImportTaskRequest::Header& header,
                                           std::string_view file)>;

  ImportCall(Calls& calls, const Metrics::Method& method, grpc::CallbackServerContext& context,
             std::string upload_directory, Store store);
  // To be called once, before the reactor is returned to gRPC.
  void Start();

  void OnReadDone(bool ok) override;
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  void RunBlocking(std::function<absl::Status()> work, bool last);
  absl::Status Take();
  absl::Status TakeHeader();
  absl::Status StoreAll();
  void End(const absl::Status& status);

  Call call_;
  const std::string upload_directory_;
  const Store store_;
  Admission::Ticket ticket_;
  v1::ImportTaskRequest message_;
  v1::ImportTaskRequest::Header header_;
  std::unique_ptr<Upload> upload_;  // null until the header has come
};

}  // namespace ddpt
