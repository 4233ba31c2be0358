#include "server/training_plan.h"

#include <google/protobuf/util/field_comparator.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"
#include "core/registry/registry.h"
#include "server/training_options.h"
#include "server/validate.h"

namespace ddpt {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

constexpr size_t kOperationIdLimit = 128;
constexpr size_t kContextTextLimit = 4096;
constexpr char kContextText[] = "Generate code that solves the task.";

absl::Status CheckOperationId(const std::string& id) {
  if (id.empty() || id.size() > kOperationIdLimit) {
    return FieldError("operation_id",
                      absl::StrCat("has ", id.size(), " bytes, outside 1..", kOperationIdLimit));
  }
  if (std::all_of(id.begin(), id.end(), [](char c) { return absl::ascii_isprint(c); })) {
    return absl::OkStatus();
  }
  return FieldError("operation_id", "holds bytes that are not printable ASCII");
}

absl::Status CheckShare(const v1::TrainRequest& request) {
  const v1::TrainingOptions& options = request.options();
  if (!options.has_validation_share()) return absl::OkStatus();
  const double share = options.validation_share();
  if (request.validation_data_case() != v1::TrainRequest::VALIDATION_DATA_NOT_SET) {
    return FieldError("options.validation_share",
                      "does not go with validation examples of one's own");
  }
  if (share >= 0.01 && share <= 0.5) return absl::OkStatus();
  return FieldError("options.validation_share", absl::StrCat(share, " is outside 0.01..0.5"));
}

std::string Difference(const Message& left, const Message& right, const std::string& prefix) {
  const Descriptor& type = *left.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    MessageDifferencer differencer;
    if (differencer.CompareWithFields(left, right, {&field}, {&field})) continue;
    const std::string path = absl::StrCat(prefix, field.name());
    if (field.is_repeated() || field.message_type() == nullptr) return path;
    return Difference(left.GetReflection()->GetMessage(left, &field),
                      right.GetReflection()->GetMessage(right, &field), path + ".");
  }
  return "";
}

}  // namespace

absl::Status ValidateTrain(const v1::TrainRequest& request) {
  DDPT_RETURN_IF_ERROR(CheckOperationId(request.operation_id()));
  DDPT_RETURN_IF_ERROR(CheckTaskName(request.task()));
  if (request.data_case() == v1::TrainRequest::DATA_NOT_SET) {
    return FieldError("data", "is missing: examples, dataset_digest or path");
  }
  if (request.data_case() == v1::TrainRequest::kDatasetDigest) {
    DDPT_RETURN_IF_ERROR(CheckDigest("dataset_digest", request.dataset_digest()));
  }
  if (request.validation_data_case() == v1::TrainRequest::kValidationDigest) {
    DDPT_RETURN_IF_ERROR(CheckDigest("validation_digest", request.validation_digest()));
  }
  if (!v1::PromotePolicy_IsValid(request.promote())) {
    return FieldError("promote", absl::StrCat(request.promote(), " is no PromotePolicy"));
  }
  if (request.options().context_text().size() > kContextTextLimit) {
    return FieldError("options.context_text",
                      absl::StrCat("has ", request.options().context_text().size(),
                                   " bytes, above the limit of ", kContextTextLimit));
  }
  DDPT_RETURN_IF_ERROR(FromProto(request.data_format()).status());
  DDPT_RETURN_IF_ERROR(CheckShare(request));
  return TuningOptionsOf(request).status();
}

absl::StatusOr<DatasetFormat> FromProto(const v1::DataChunk::Header& header) {
  DatasetFormat format;
  switch (header.format()) {
    case v1::DATA_FORMAT_UNSPECIFIED:
      format.kind = DatasetFormat::Kind::kDetect;
      break;
    case v1::DATA_FORMAT_JSONL:
      format.kind = DatasetFormat::Kind::kJsonLines;
      break;
    case v1::DATA_FORMAT_CONALA:
      format.kind = DatasetFormat::Kind::kConala;
      break;
    case v1::DATA_FORMAT_CODEALPACA:
      format.kind = DatasetFormat::Kind::kCodeAlpaca;
      break;
    default:
      return FieldError("data_format.format", absl::StrCat(header.format(), " is no DataFormat"));
  }
  if (!header.instruction_field().empty()) format.instruction_field = header.instruction_field();
  if (!header.code_field().empty()) format.code_field = header.code_field();
  return format;
}

absl::StatusOr<TrainingPlan> PlanOf(const v1::TrainRequest& request) {
  TrainingPlan plan;
  plan.task = request.task();
  plan.dataset_digest = request.dataset_digest();
  plan.validation_digest = request.validation_digest();
  DDPT_ASSIGN_OR_RETURN(plan.options, TuningOptionsOf(request));
  DDPT_ASSIGN_OR_RETURN(plan.start, StartPromptOf(request));
  const v1::TrainingOptions& given = request.options();
  plan.context_text = given.has_context_text() ? given.context_text() : kContextText;
  if (given.has_validation_share()) plan.validation_share = given.validation_share();
  plan.promote = request.promote() == v1::PROMOTE_POLICY_NEVER ? TrainingPlan::Promote::kNever
                 : request.promote() == v1::PROMOTE_POLICY_ALWAYS
                     ? TrainingPlan::Promote::kAlways
                     : TrainingPlan::Promote::kIfBetter;
  return plan;
}

std::string FirstDifference(const v1::TrainRequest& left, const v1::TrainRequest& right) {
  return Difference(left, right, "");
}

}  // namespace ddpt
