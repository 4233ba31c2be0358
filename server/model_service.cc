#include "server/model_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/nearest_tokens.h"
#include "server/convert.h"

namespace ddpt {
namespace {

constexpr char kService[] = "ddpt.v1.ModelService";
constexpr int kDetokenizeLimit = 1 << 20, kEmbedLimit = 1024;
constexpr size_t kTokenRoom = 512;  // in an answer, for a token's text and what is about it

// How many rows of the embedding fit into an answer.
int EmbedLimit(const ModelGeometry& geometry, size_t max_message_bytes) {
  const size_t row = static_cast<size_t>(geometry.encoder.width) * sizeof(float) + kTokenRoom;
  return static_cast<int>(std::min<size_t>(kEmbedLimit, max_message_bytes / row));
}

void FillStack(const ModelGeometry::Stack& stack, v1::ModelInfo::Stack* out) {
  out->set_width(static_cast<uint32_t>(stack.width));
  out->set_layers(static_cast<uint32_t>(stack.layers));
  out->set_heads(static_cast<uint32_t>(stack.heads));
  out->set_rotary_dim(static_cast<uint32_t>(stack.rotary_dim));
}

void FillInfo(const BaseModel& base, v1::ModelInfo* info) {
  const ModelGeometry& geometry = base.model->geometry();
  info->set_name(base.name);
  info->set_digest(base.model->digest());
  info->set_family(geometry.family);
  FillStack(geometry.encoder, info->mutable_encoder());
  FillStack(geometry.decoder, info->mutable_decoder());
  info->set_vocabulary_size(static_cast<uint32_t>(geometry.vocabulary_size));
  info->set_max_positions(static_cast<uint32_t>(geometry.max_positions));
  info->set_dtype(std::string(ModelDtypeName(geometry.dtype)));
  info->set_device(geometry.device);
  info->set_parameters(static_cast<uint64_t>(geometry.parameters));
  info->set_start_token(geometry.start_token);
  info->set_end_token(geometry.end_token);
  info->set_habits(std::string(geometry.habits.name));
  info->set_prefix_width(static_cast<uint64_t>(PrefixWidth(geometry, PrefixPlace::kAll)));
  info->set_decoder_prefix_width(
      static_cast<uint64_t>(PrefixWidth(geometry, PrefixPlace::kDecoder)));
}

}  // namespace

ModelService::ModelService(Calls& calls, std::shared_ptr<const BaseModel> base, StreamPool& pool)
    : calls_(calls),
      base_(std::move(base)),
      pool_(pool),
      get_(calls.metrics().AddMethod(kService, "GetModel", "unary", /*queues=*/false)),
      tokenize_(calls.metrics().AddMethod(kService, "Tokenize", "unary", /*queues=*/false)),
      detokenize_(calls.metrics().AddMethod(kService, "Detokenize", "unary", /*queues=*/false)),
      embed_(calls.metrics().AddMethod(kService, "EmbedTokens", "unary", /*queues=*/false)) {}

grpc::ServerUnaryReactor* ModelService::GetModel(grpc::CallbackServerContext* context,
                                                 const v1::GetModelRequest*,
                                                 v1::ModelInfo* response) {
  auto* call = new UnaryCall(calls_, get_, *context, *response);
  return call->RunBlocking("", [this, response] {
    FillInfo(*base_, response);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelService::Tokenize(grpc::CallbackServerContext* context,
                                                 const v1::TokenizeRequest* request,
                                                 v1::TokenizeResponse* response) {
  auto* call = new UnaryCall(calls_, tokenize_, *context, *response);
  return call->RunBlocking("", [=, this]() -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(const auto ids, base_->tokenizer->Encode(request->text()));
    response->mutable_token_ids()->mutable_ids()->Assign(ids.begin(), ids.end());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelService::Detokenize(grpc::CallbackServerContext* context,
                                                   const v1::DetokenizeRequest* request,
                                                   v1::DetokenizeResponse* response) {
  auto* call = new UnaryCall(calls_, detokenize_, *context, *response);
  return call->RunBlocking("", [=, this]() -> absl::Status {
    const auto& ids = request->token_ids().ids();
    if (ids.size() > kDetokenizeLimit) {
      return FieldError("token_ids",
                        absl::StrCat(ids.size(), " ids are above the limit of ", kDetokenizeLimit));
    }
    for (const uint32_t id : ids) {
      if (base_->tokenizer->HasToken(id)) continue;
      return FieldError("token_ids", absl::StrCat("id ", id, " is no token of ", base_->name));
    }
    response->set_text(base_->tokenizer->Decode({ids.data(), static_cast<size_t>(ids.size())},
                                                request->skip_special()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ModelService::EmbedTokens(grpc::CallbackServerContext* context,
                                                    const v1::EmbedTokensRequest* request,
                                                    v1::EmbedTokensResponse* response) {
  auto* call = new UnaryCall(calls_, embed_, *context, *response);
  const auto embed = [=, this]() -> absl::Status {
    const auto& ids = request->token_ids().ids();
    const int limit = EmbedLimit(base_->model->geometry(), calls_.max_message_bytes());
    if (ids.empty() || ids.size() > limit) {
      return FieldError("token_ids", absl::StrCat(ids.size(), " ids are not 1..", limit));
    }
    const int64_t vocabulary = base_->model->geometry().vocabulary_size;
    for (const uint32_t id : ids) {
      if (id >= vocabulary) {
        return FieldError("token_ids",
                          absl::StrCat("id ", id, " is outside the vocabulary of ", vocabulary));
      }
      response->add_tokens(base_->tokenizer->HasToken(id)
                               ? base_->tokenizer->Decode({&id, 1}, /*skip_special=*/false)
                               : "");
    }
    ToProto(TokenVectors(*base_->model, {ids.data(), static_cast<size_t>(ids.size())}),
            DataType::kFloat32, response->mutable_embedding());
    return absl::OkStatus();
  };
  return call->RunBlocking("", embed, &pool_);
}

}  // namespace ddpt
