#include "server/health.h"

namespace ddpt {

void Health::SetTask(const std::string& task, bool serving) {
  std::lock_guard lock(mutex_);
  tasks_[task] = serving;
  if (service_ != nullptr) service_->SetServingStatus(task, serving);
  if (!serving && service_ != nullptr) tasks_.erase(task);
}

void Health::Attach(grpc::HealthCheckServiceInterface* service) {
  std::lock_guard lock(mutex_);
  service_ = service;
  if (service_ == nullptr) return;
  for (const auto& [task, serving] : tasks_) service_->SetServingStatus(task, serving);
  if (stopped_) service_->Shutdown();
}

void Health::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  if (service_ != nullptr) service_->Shutdown();
}

}  // namespace ddpt
