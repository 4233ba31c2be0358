#include "server/response_queue.h"

#include <algorithm>
#include <utility>

namespace ddpt {
namespace {

size_t BytesOf(const v1::GenerateResponse& response) {
  return response.text().size() + sizeof(uint32_t) * response.token_ids().ids_size() +
         sizeof(float) * response.logprobs_size();
}

void Join(v1::GenerateResponse& response, const v1::GenerateResponse& next) {
  response.mutable_text()->append(next.text());
  response.mutable_token_ids()->MergeFrom(next.token_ids());
  response.mutable_logprobs()->MergeFrom(next.logprobs());
  response.set_finish_reason(next.finish_reason());
  if (next.has_usage()) *response.mutable_usage() = next.usage();
}

}  // namespace

bool ResponseQueue::Push(v1::GenerateResponse response) {
  const size_t bytes = BytesOf(response);
  if (bytes_ + bytes > limit_bytes_ && !waiting_.empty()) return false;
  bytes_ += bytes;
  const auto same = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& held) {
    return held.choice_index() == response.choice_index();
  });
  if (same != waiting_.end()) {
    Join(*same, response);
  } else {
    waiting_.push_back(std::move(response));
  }
  return true;
}

std::optional<v1::GenerateResponse> ResponseQueue::Pop() {
  if (waiting_.empty()) return std::nullopt;
  v1::GenerateResponse response = std::move(waiting_.front());
  waiting_.pop_front();
  bytes_ -= BytesOf(response);
  return response;
}

void ResponseQueue::clear() {
  waiting_.clear();
  bytes_ = 0;
}

}  // namespace ddpt
