#include "server/import_call.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/validate.h"

namespace ddpt {
namespace {

constexpr uint64_t kFileLimit = uint64_t{512} << 20;
constexpr size_t kChunkLimit = size_t{1} << 20;

}  // namespace

ImportCall::ImportCall(Calls& calls, const Metrics::Method& method,
                       grpc::CallbackServerContext& context, std::string upload_directory,
                       Store store)
    : call_(calls, method, context),
      upload_directory_(std::move(upload_directory)),
      store_(std::move(store)) {}

void ImportCall::Start() {
  absl::Status status = call_.Begin("");
  if (status.ok()) {
    absl::StatusOr<Admission::Ticket> ticket = call_.Admit(Calls::Door::kControl);
    status = ticket.status();
    if (ticket.ok()) ticket_ = *std::move(ticket);
  }
  if (!status.ok()) return End(status);
  ticket_.Start();
  call_.Started();
  StartRead(&message_);
}

void ImportCall::OnReadDone(bool ok) {
  if (!call_.stop().status().ok()) return End(call_.stop().status());
  if (ok) {
    RunBlocking([this] { return Take(); }, /*last=*/false);
  } else {
    RunBlocking([this] { return StoreAll(); }, /*last=*/true);
  }
}

void ImportCall::RunBlocking(std::function<absl::Status()> work, bool last) {
  const absl::Status status = call_.calls().control().Submit(
      {.key = "import",
       .stop = call_.stop(),
       .run =
           [this, last, work = std::move(work)](Stream&) {
             const absl::Status result = work();
             if (!result.ok() || last) {
               End(result);
             } else {
               StartRead(&message_);
             }
             return Progress::kDone;
           },
       .on_error = [this](const absl::Status& error) { End(error); }});
  if (!status.ok()) End(status);
}

absl::Status ImportCall::Take() {
  if (message_.has_header()) return TakeHeader();
  if (!upload_) return FieldError("header", "is missing; the first message must have it");
  if (message_.chunk().size() > kChunkLimit) {
    return FieldError("chunk", absl::StrCat(message_.chunk().size(),
                                            " bytes are above the limit of ", kChunkLimit));
  }
  return upload_->Append(message_.chunk());
}

absl::Status ImportCall::TakeHeader() {
  if (upload_) return FieldError("header", "has come before; chunks must follow");
  DDPT_RETURN_IF_ERROR(ValidateImportHeader(message_.header()));
  header_ = message_.header();
  DDPT_ASSIGN_OR_RETURN(upload_, Upload::Create(upload_directory_, kFileLimit));
  return absl::OkStatus();
}

absl::Status ImportCall::StoreAll() {
  if (!upload_) return FieldError("header", "is missing; the call had no message");
  const std::string digest = upload_->Finish();
  if (!header_.sha256().empty() && absl::AsciiStrToLower(header_.sha256()) != digest) {
    return FieldError(
        "header.sha256",
        absl::StrCat(header_.sha256(), " is not the digest of what arrived, ", digest));
  }
  DDPT_ASSIGN_OR_RETURN(const std::string_view file, upload_->Map());
  return store_(header_, file);
}

void ImportCall::End(const absl::Status& status) {
  if (!header_.task().empty()) call_.fields()["task"] = header_.task();
  ticket_ = Admission::Ticket();
  Finish(call_.End(status));
}

}  // namespace ddpt
