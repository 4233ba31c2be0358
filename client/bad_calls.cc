#include "client/bad_calls.h"

#include <limits>

namespace ddpt {
namespace {

// Four terabytes in four bytes.
v1::Tensor Lie() {
  v1::Tensor tensor;
  tensor.add_shape(1 << 20);
  tensor.add_shape(1 << 20);
  tensor.set_dtype(v1::DATA_TYPE_FLOAT32);
  tensor.set_data("four");
  return tensor;
}

}  // namespace

std::vector<BadCall> BadCalls(const std::string& task, bool has_model) {
  const auto sample = [task](const std::function<void(v1::SampleRequest&)>& spoil) {
    return [task, spoil](Client& client) {
      v1::SampleRequest request;
      request.set_task(task);
      request.mutable_sampling()->set_steps(2);
      spoil(request);
      return client.Sample(request).status();
    };
  };
  const auto generate = [task](const std::function<void(v1::GenerateRequest&)>& spoil) {
    return [task, spoil](Client& client) {
      v1::GenerateRequest request;
      request.set_instruction("sum");
      request.mutable_prompt()->set_task(task);
      request.mutable_decoding()->set_max_new_tokens(4);
      spoil(request);
      return client.Generate(request, [](const auto&) { return true; });
    };
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  std::vector<BadCall> calls = {
      {"a task's name out of form", kInvalid, "task",
       sample([](auto& request) { request.set_task("No Task!"); })},
      {"a task that is not there", absl::StatusCode::kNotFound, "",
       sample([](auto& request) { request.set_task("no-such-task"); })},
      {"four billion prompts", kInvalid, "count",
       sample([](auto& request) { request.set_count(4'000'000'000); })},
      {"four billion steps", kInvalid, "sampling.steps",
       sample([](auto& request) { request.mutable_sampling()->set_steps(4'000'000'000); })},
      {"an eta that is no number", kInvalid, "sampling.eta", sample([](auto& request) {
         request.mutable_sampling()->set_eta(std::numeric_limits<double>::quiet_NaN());
       })},
      {"noise of four terabytes in four bytes", kInvalid, "initial_noise",
       sample([](auto& request) { *request.mutable_initial_noise() = Lie(); })},
      {"an id that is none", kInvalid, "prompt_id", [](Client& client) {
         v1::ReplayRequest request;
         request.set_prompt_id("dp1_none");
         return client.Replay(request).status();
       }}};
  if (!has_model) return calls;
  calls.push_back({"no tokens", kInvalid, "decoding.max_new_tokens", generate([](auto& request) {
                     request.mutable_decoding()->set_max_new_tokens(0);
                   })});
  calls.push_back(
      {"a prompt of four terabytes in four bytes", kInvalid, "prompt.embedding",
       generate([](auto& request) { *request.mutable_prompt()->mutable_embedding() = Lie(); })});
  calls.push_back(
      {"an instruction of a megabyte", kInvalid, "instruction",
       generate([](auto& request) { request.set_instruction(std::string(1 << 20, 'x')); })});
  return calls;
}

}  // namespace ddpt
