// ddpt-tiny: trains a base model from scratch, on the generated corpus or on a data set, and writes
// it as a Hugging Face directory.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/base/status.h"
#include "deploy/tiny/base_trainer.h"
#include "deploy/tiny/texts.h"

namespace ddpt::tiny {
namespace {

struct Flags {
  std::string corpus = "deploy/tiny";
  std::string data;  // "": the corpus
  BaseOptions base;
};

Flags EmbeddedModel() {
  Flags flags;
  flags.base.output = "deploy/models/codet5p-tiny";
  flags.base.geometry.encoder = {.width = 128, .layers = 3};
  flags.base.geometry.decoder = {.width = 192, .layers = 4};
  return flags;
}

void AddStackFlags(CLI::App& app, const std::string& name, Codet5pConfig::Stack& stack) {
  app.add_option("--" + name + "-width", stack.width, "64 or more, a multiple of 4")
      ->capture_default_str();
  app.add_option("--" + name + "-layers", stack.layers)->capture_default_str();
}

void AddFlags(CLI::App& app, Flags& flags) {
  BaseOptions& base = flags.base;
  app.add_option("--corpus", flags.corpus, "folder of corpus.json")->capture_default_str();
  app.add_option("--data", flags.data,
                 "JSON Lines of instruction, code and, where it differs, encoder_text, instead of "
                 "the corpus");
  app.add_option("--output", base.output, "Hugging Face directory to write")->capture_default_str();
  app.add_option("--seed", base.seed, "of weights and texts")->capture_default_str();
  app.add_option("--steps", base.steps, "optimizer steps")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--batch", base.batch, "examples a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--learning-rate", base.learning_rate, "peak")->capture_default_str();
  app.add_option("--vocabulary", base.vocabulary, "tokens at most")->capture_default_str();
  app.add_option("--max-tokens", base.max_tokens, "of an example, the rest is cut")
      ->check(CLI::Range(4, 1024))
      ->capture_default_str();
  AddStackFlags(app, "encoder", base.geometry.encoder);
  AddStackFlags(app, "decoder", base.geometry.decoder);
}

absl::Status Run(Flags& flags) {
  for (Codet5pConfig::Stack* stack : {&flags.base.geometry.encoder, &flags.base.geometry.decoder}) {
    stack->heads = 4;
    stack->rotary_dim = 16;
    stack->inner = 4 * stack->width;
  }
  DDPT_ASSIGN_OR_RETURN(const auto texts, flags.data.empty()
                                              ? GeneratedTexts(flags.corpus, flags.base.seed)
                                              : TextsOfFile(flags.data, flags.base.seed));
  return TrainBase(*texts, flags.base);
}

}  // namespace
}  // namespace ddpt::tiny

int main(int argc, char** argv) {
  ddpt::tiny::Flags flags = ddpt::tiny::EmbeddedModel();
  CLI::App app("Trains a base model from scratch, on the generated corpus or on a data set");
  ddpt::tiny::AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = ddpt::tiny::Run(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "ddpt-tiny: %s\n", status.ToString().c_str());
  return 1;
}
