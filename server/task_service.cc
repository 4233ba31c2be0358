#include "server/task_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/registry/registry_rules.h"
#include "server/task_info.h"
#include "server/upload_call.h"
#include "server/validate.h"

namespace ddpt {
namespace {

constexpr char kService[] = "ddpt.v1.TaskService";
constexpr uint32_t kDefaultPage = 100;
// In an answer, for what is about a page, and about each task.
constexpr size_t kPageRoom = 1024, kTaskRoom = 16;
constexpr uint64_t kFileLimit = uint64_t{512} << 20;

template <typename Request>
std::optional<uint64_t> Expected(const Request& request) {
  if (!request.has_expected_version()) return std::nullopt;
  return request.expected_version();
}

}  // namespace

TaskService::TaskService(Calls& calls, Registry& registry, TaskCatalog& catalog,
                         std::string upload_directory)
    : calls_(calls),
      registry_(registry),
      catalog_(catalog),
      upload_directory_(std::move(upload_directory)),
      list_(calls.metrics().AddMethod(kService, "ListTasks", "unary", /*queues=*/false)),
      get_(calls.metrics().AddMethod(kService, "GetTask", "unary", /*queues=*/false)),
      import_(calls.metrics().AddMethod(kService, "ImportTask", "client_stream",
                                        /*queues=*/false)),
      promote_(calls.metrics().AddMethod(kService, "PromoteTask", "unary", /*queues=*/false)),
      rollback_(calls.metrics().AddMethod(kService, "RollbackTask", "unary", /*queues=*/false)),
      delete_(calls.metrics().AddMethod(kService, "DeleteTask", "unary", /*queues=*/false)) {}

grpc::ServerUnaryReactor* TaskService::ListTasks(grpc::CallbackServerContext* context,
                                                 const v1::ListTasksRequest* request,
                                                 v1::ListTasksResponse* response) {
  auto* call = new UnaryCall(calls_, list_, *context, *response);
  return call->RunBlocking("", [=, this]() -> absl::Status {
    DDPT_RETURN_IF_ERROR(ValidatePageSize(request->page_size()));
    const uint32_t size = request->page_size() > 0 ? request->page_size() : kDefaultPage;
    DDPT_ASSIGN_OR_RETURN(const TaskPage page, registry_.ListTasks(size, request->page_token()));
    response->set_next_page_token(page.next_page_token);
    size_t room = calls_.max_message_bytes() - kPageRoom;
    for (size_t i = 0; i < page.tasks.size(); ++i) {
      v1::TaskInfo info;
      const absl::Status status = FillTaskInfo(registry_, page.tasks[i].name, &info);
      if (absl::IsNotFound(status)) continue;
      DDPT_RETURN_IF_ERROR(status);
      const size_t bytes = info.ByteSizeLong() + kTaskRoom;
      if (i > 0 && bytes > room) {
        response->set_next_page_token(TokenOfName(page.tasks[i - 1].name));
        return absl::OkStatus();
      }
      room -= std::min(bytes, room);
      *response->add_tasks() = std::move(info);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* TaskService::GetTask(grpc::CallbackServerContext* context,
                                               const v1::GetTaskRequest* request,
                                               v1::TaskInfo* response) {
  auto* call = new UnaryCall(calls_, get_, *context, *response);
  return call->RunBlocking(
      request->task(), [=, this] { return FillTaskInfo(registry_, request->task(), response); });
}

grpc::ServerReadReactor<v1::ImportTaskRequest>* TaskService::ImportTask(
    grpc::CallbackServerContext* context, v1::TaskInfo* response) {
  const auto store = [=, this](const v1::ImportTaskRequest::Header& header,
                               Upload& upload) -> absl::Status {
    const std::string digest = upload.Finish();
    if (!header.sha256().empty() && absl::AsciiStrToLower(header.sha256()) != digest) {
      return FieldError(
          "header.sha256",
          absl::StrCat(header.sha256(), " is not the digest of what arrived, ", digest));
    }
    DDPT_ASSIGN_OR_RETURN(const std::string_view file, upload.Map());
    const Promotion promotion =
        header.promote() == v1::PROMOTE_POLICY_NEVER ? Promotion::kNever : Promotion::kAlways;
    DDPT_RETURN_IF_ERROR(catalog_.Import(header.task(), file, promotion).status());
    return FillTaskInfo(registry_, header.task(), response);
  };
  return UploadCall<v1::ImportTaskRequest>::Start(
      calls_, import_, *context, {upload_directory_, kFileLimit, ValidateImportHeader, store});
}

grpc::ServerUnaryReactor* TaskService::PromoteTask(grpc::CallbackServerContext* context,
                                                   const v1::PromoteTaskRequest* request,
                                                   v1::TaskInfo* response) {
  auto* call = new UnaryCall(calls_, promote_, *context, *response);
  return call->RunBlocking(request->task(), [=, this]() -> absl::Status {
    if (request->version() == 0) return FieldError("version", "0 is below 1");
    DDPT_RETURN_IF_ERROR(
        catalog_.Promote(request->task(), request->version(), Expected(*request)).status());
    return FillTaskInfo(registry_, request->task(), response);
  });
}

grpc::ServerUnaryReactor* TaskService::RollbackTask(grpc::CallbackServerContext* context,
                                                    const v1::RollbackTaskRequest* request,
                                                    v1::TaskInfo* response) {
  auto* call = new UnaryCall(calls_, rollback_, *context, *response);
  return call->RunBlocking(request->task(), [=, this]() -> absl::Status {
    DDPT_RETURN_IF_ERROR(catalog_.Rollback(request->task(), Expected(*request)).status());
    return FillTaskInfo(registry_, request->task(), response);
  });
}

grpc::ServerUnaryReactor* TaskService::DeleteTask(grpc::CallbackServerContext* context,
                                                  const v1::DeleteTaskRequest* request,
                                                  v1::DeleteTaskResponse* response) {
  auto* call = new UnaryCall(calls_, delete_, *context, *response);
  return call->RunBlocking(
      request->task(), [=, this] { return catalog_.Delete(request->task(), Expected(*request)); });
}

}  // namespace ddpt
