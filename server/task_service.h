#pragma once

#include <string>

#include "core/registry/registry.h"
#include "ddpt/v1/task.grpc.pb.h"
#include "server/call.h"
#include "server/task_catalog.h"

namespace ddpt {

// ddpt.v1.TaskService over the registry. Its work blocks on storage and happens on the control
// pool. Thread-safe.
class TaskService final : public v1::TaskService::CallbackService {
 public:
  // The references must outlive the service. Uploads are kept as files in `upload_directory` until
  // they are imported.
  TaskService(Calls& calls, Registry& registry, TaskCatalog& catalog, std::string upload_directory);

  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* context,
                                      const v1::ListTasksRequest* request,
                                      v1::ListTasksResponse* response) override;
  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* context,
                                    const v1::GetTaskRequest* request,
                                    v1::TaskInfo* response) override;
  grpc::ServerReadReactor<v1::ImportTaskRequest>* ImportTask(grpc::CallbackServerContext* context,
                                                             v1::TaskInfo* response) override;
  grpc::ServerUnaryReactor* PromoteTask(grpc::CallbackServerContext* context,
                                        const v1::PromoteTaskRequest* request,
                                        v1::TaskInfo* response) override;
  grpc::ServerUnaryReactor* RollbackTask(grpc::CallbackServerContext* context,
                                         const v1::RollbackTaskRequest* request,
                                         v1::TaskInfo* response) override;
  grpc::ServerUnaryReactor* DeleteTask(grpc::CallbackServerContext* context,
                                       const v1::DeleteTaskRequest* request,
                                       v1::DeleteTaskResponse* response) override;

 private:
  Calls& calls_;
  Registry& registry_;
  TaskCatalog& catalog_;
  const std::string upload_directory_;
  const Metrics::Method& list_;
  const Metrics::Method& get_;
  const Metrics::Method& import_;
  const Metrics::Method& promote_;
  const Metrics::Method& rollback_;
  const Metrics::Method& delete_;
};

}  // namespace ddpt
