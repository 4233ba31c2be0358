// Prompts that tests/data/reference_sampler.py drew with numpy, written from FORMAT.md alone.
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/diffusion/full_space.h"
#include "tests/core/diffusion/testing.h"

namespace ddpt {
namespace {

constexpr uint64_t kSeed = 0x1234567890ABCDEF;

struct GoldenCase {
  SampleRow row;
  bool full_space = false;
};

// "sampler,steps,eta,noise,guidance", see tests/data/denoiser_golden.py.
GoldenCase ParseCase(const std::string& name, const std::vector<float>& condition) {
  const std::vector<std::string> parts = absl::StrSplit(name, ',');
  GoldenCase golden;
  golden.row.seed = kSeed;
  golden.row.options.sampler = ParseSampler(parts[0]).value();
  golden.row.options.steps = std::atoi(parts[1].c_str());
  golden.row.options.eta = std::atof(parts[2].c_str());
  golden.full_space = parts[3] == "full";
  if (parts[4] != "none") {
    golden.row.condition = condition;
    golden.row.options.guidance_scale = std::atof(parts[4].c_str());
  }
  return golden;
}

std::vector<float> Draw(const std::shared_ptr<const Denoiser>& denoiser, const GoldenCase& golden) {
  std::vector<float> prompts;
  for (uint64_t draw = 0; draw < 2; ++draw) {
    SampleRow row = golden.row;
    row.draw = draw;
    const auto prompt = golden.full_space
                            ? FullSpaceSampler<float>(denoiser).Sample(row).value()
                            : RunAlone(LatentEngine::Create(denoiser).value(), row)->data;
    prompts.insert(prompts.end(), prompt.begin(), prompt.end());
  }
  return prompts;
}

class GoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, PromptsAgreeWithNumpy) {
  const std::string path = std::string(DDPT_TEST_DATA) + "/denoiser_" + GetParam();
  const auto denoiser = Denoiser::Load(path + ".safetensors").value();
  const auto golden = SafetensorsFile::Open(path + "_prompts.safetensors").value();
  std::vector<float> condition;
  size_t cases = 0;
  if (const auto found = golden->tensors().find("condition"); found != golden->tensors().end()) {
    condition = found->second.ToTensor().data;
  }
  for (const auto& [name, view] : golden->tensors()) {
    if (name == "condition") continue;
    const auto prompts = Draw(denoiser, ParseCase(name, condition));
    EXPECT_LT(RelativeDifference(prompts, view.ToTensor().data), 1e-5) << name;
    ++cases;
  }
  EXPECT_GE(cases, 2);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest,
                         ::testing::Values("x0", "x0_residual", "x0_residual_singular", "residual"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace ddpt
