#include "server/task_info.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/diffusion/denoiser_spec.h"
#include "core/tuning/attributes.h"
#include "google/protobuf/util/time_util.h"
#include "server/convert.h"

namespace ddpt {
namespace {

constexpr size_t kVersionLimit = 100;
constexpr char kMetricPrefix[] = "metric.";

std::string Word(const std::map<std::string, std::string>& attributes, const char* key) {
  const auto found = attributes.find(key);
  return found == attributes.end() ? "" : found->second;
}

uint32_t Number(const std::map<std::string, std::string>& attributes, const char* key) {
  uint32_t value = 0;
  return absl::SimpleAtoi(Word(attributes, key), &value) ? value : 0;
}

void FillVersion(const TaskVersion& version, v1::TaskVersion* out) {
  const std::map<std::string, std::string>& attributes = version.attributes;
  out->set_version(version.version);
  out->set_denoiser_digest(version.digest);
  if (const auto reading = ParseReading(Word(attributes, "reading"))) {
    out->set_reading(ToProto(*reading));
  }
  out->set_context_length(Number(attributes, "context_length"));
  out->set_width(Number(attributes, "width"));
  out->set_latent_width(Number(attributes, "latent"));
  out->set_train_steps(Number(attributes, "train_steps"));
  out->set_condition_width(Number(attributes, "condition_width"));
  out->set_method(Word(attributes, "method"));
  out->set_base_model_digest(Word(attributes, "base_model_digest"));
  using google::protobuf::util::TimeUtil;
  *out->mutable_create_time() = TimeUtil::MicrosecondsToTimestamp(version.created_at_micros);
  out->set_size_bytes(version.size_bytes);
  for (const std::string& name : SplitNames(Word(attributes, kAttributeNames))) {
    out->add_attribute_names(name);
  }
  for (const auto& [key, value] : attributes) {
    absl::string_view name = key;
    double figure = 0;
    if (absl::ConsumePrefix(&name, kMetricPrefix) && absl::SimpleAtod(value, &figure)) {
      (*out->mutable_metrics())[std::string(name)] = figure;
    }
  }
}

}  // namespace

absl::Status FillTaskInfo(const Registry& registry, const std::string& task, v1::TaskInfo* info) {
  using google::protobuf::util::TimeUtil;
  DDPT_ASSIGN_OR_RETURN(const TaskRecord record, registry.GetTask(task));
  DDPT_ASSIGN_OR_RETURN(const auto versions, registry.ListVersions(task));
  info->set_task(record.name);
  info->set_active_version(record.active_version);
  *info->mutable_create_time() = TimeUtil::MicrosecondsToTimestamp(record.created_at_micros);
  *info->mutable_update_time() = TimeUtil::MicrosecondsToTimestamp(record.updated_at_micros);
  for (size_t i = 0; i < std::min(versions.size(), kVersionLimit); ++i) {
    FillVersion(versions[i], info->add_versions());
  }
  return absl::OkStatus();
}

}  // namespace ddpt
