#include "client/training_flags.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "client/flags.h"

namespace ddpt {
namespace {

using Options = v1::TrainingOptions;

void AddDataFlags(CLI::App& command, TrainingFlags& flags) {
  v1::TrainRequest& request = flags.request;
  CLI::App* data = command.add_option_group("Data", "exactly one");
  data->require_option(1);
  data->add_option("--data", flags.file, "File to upload: JSON Lines, CoNaLa or CodeAlpaca");
  data->add_option_function<std::string>(
      "--dataset-digest", [&](const std::string& value) { request.set_dataset_digest(value); },
      "A data set that was uploaded before");
  data->add_option_function<std::string>(
      "--server-path", [&](const std::string& value) { request.set_path(value); },
      "A file of the server's machine");
  command.add_option("--validation-data", flags.validation_file,
                     "File to upload and validate on; default: a part of the data");
  v1::DataChunk::Header& format = *request.mutable_data_format();
  AddEnumFlag(
      command, "--format", *v1::DataFormat_descriptor(), "DATA_FORMAT_",
      [&](int value) { format.set_format(static_cast<v1::DataFormat>(value)); },
      "Default: recognised");
  command.add_option_function<std::string>(
      "--instruction-field", [&](const std::string& value) { format.set_instruction_field(value); },
      "Of JSON Lines; default instruction");
  command.add_option_function<std::string>(
      "--code-field", [&](const std::string& value) { format.set_code_field(value); },
      "Of JSON Lines; default code");
}

void AddNumbers(CLI::App& command, Options& options) {
  const auto whole = [&](const char* flag, void (Options::*set)(uint32_t), const char* help) {
    command.add_option_function<uint32_t>(
        flag, [&options, set](uint32_t value) { (options.*set)(value); }, help);
  };
  const auto real = [&](const char* flag, void (Options::*set)(double), const char* help) {
    command.add_option_function<double>(
        flag, [&options, set](double value) { (options.*set)(value); }, help);
  };
  whole("--steps", &Options::set_steps, "Optimizer steps, of bbt generations; default 300");
  whole("--batch-size", &Options::set_batch_size, "Examples a step; default 32");
  real("--learning-rate", &Options::set_learning_rate,
       "Default 0.001; prompt and prefix tuning 0.03");
  whole("--checkpoint-every", &Options::set_checkpoint_every, "Optimizer steps; default 50");
  whole("--warmup-steps", &Options::set_warmup_steps, "Default 5 % of the steps");
  whole("--micro-batch-size", &Options::set_micro_batch_size,
        "Examples that go through the model at once; default by the device");
  whole("--prompt-encoder-width", &Options::set_prompt_encoder_width,
        "p_tuning: hidden width; default 256");
  real("--weight-ema", &Options::set_weight_ema_decay,
       "Decay of the average of the weights that is served; default 0: none");
  real("--weight-decay", &Options::set_weight_decay, "Default 0");
  real("--clip-norm", &Options::set_clip_norm, "Default 1");
  whole("--subspace", &Options::set_subspace_width, "bbt: dimensions searched; default 500");
  whole("--population", &Options::set_population, "bbt: prompts a generation; default 20");
  real("--sigma", &Options::set_sigma, "bbt: initial step size; default 1");
  whole("--context", &Options::set_context_length, "n, context tokens; default 10");
  whole("--latent", &Options::set_latent_width, "h; default 64");
  whole("--layers", &Options::set_layers, "Hidden layers; default 2");
  whole("--train-steps", &Options::set_train_steps, "T, steps of the diffusion; default 2000");
  real("--ema-decay", &Options::set_ema_decay, "Of the reference; default 0.99");
  real("--time-step-power", &Options::set_time_step_power,
       "p of t = T u^p, by which training draws its time steps; default 1");
  real("--condition-dropout", &Options::set_condition_dropout, "Default 0.1");
  whole("--draws", &Options::set_draws,
        "Prompts drawn for each example, the best of which is trained; default 1");
  real("--validation-share", &Options::set_validation_share, "Default 0.1");
  real("--max-prompt-rms", &Options::set_max_prompt_rms, "The job fails above it; default 2");
  whole("--validation-steps", &Options::set_validation_steps, "Default 2000");
}

void AddChoices(CLI::App& command, v1::TrainRequest& request) {
  Options& options = *request.mutable_options();
  AddEnumFlag(
      command, "--method", *v1::Method_descriptor(), "METHOD_",
      [&](int value) { request.set_method(static_cast<v1::Method>(value)); }, "Default ddpt");
  AddEnumFlag(
      command, "--reading", *v1::Reading_descriptor(), "READING_",
      [&](int value) { options.set_reading(static_cast<v1::Reading>(value)); }, "Default x0");
  AddEnumFlag(
      command, "--reference", *v1::Reference_descriptor(), "REFERENCE_",
      [&](int value) { options.set_reference(static_cast<v1::Reference>(value)); }, "Default ema");
  AddEnumFlag(
      command, "--prompt-encoder", *v1::PromptEncoder_descriptor(), "PROMPT_ENCODER_",
      [&](int value) { options.set_prompt_encoder(static_cast<v1::PromptEncoder>(value)); },
      "p_tuning: default mlp");
  AddEnumFlag(
      command, "--context-start", *v1::ContextStart_descriptor(), "CONTEXT_START_",
      [&](int value) { options.set_context_start(static_cast<v1::ContextStart>(value)); },
      "Default text");
  AddEnumFlag(
      command, "--prefix-place", *v1::PrefixPlace_descriptor(), "PREFIX_PLACE_",
      [&](int value) { options.set_prefix_place(static_cast<v1::PrefixPlace>(value)); },
      "prefix_tuning: default all");
  AddEnumFlag(
      command, "--promote", *v1::PromotePolicy_descriptor(), "PROMOTE_POLICY_",
      [&](int value) { request.set_promote(static_cast<v1::PromotePolicy>(value)); },
      "Default if_better");
  AddEnumFlag(
      command, "--validation-sampler", *v1::Sampler_descriptor(), "SAMPLER_",
      [&](int value) { options.set_validation_sampler(static_cast<v1::Sampler>(value)); },
      "Default ddim");
  command.add_option_function<uint64_t>(
      "--seed", [&](uint64_t value) { options.set_seed(value); }, "Default 0");
  command.add_option_function<std::string>(
      "--context-text", [&](const std::string& value) { options.set_context_text(value); },
      "Words whose tokens start the context");
  command.add_flag_callback(
      "--conditional", [&] { options.set_conditional(true); },
      "Conditions the denoiser on the instruction");
}

}  // namespace

void AddTrainingFlags(CLI::App& command, TrainingFlags& flags) {
  v1::TrainRequest& request = flags.request;
  command
      .add_option_function<std::string>(
          "TASK", [&](const std::string& value) { request.set_task(value); },
          "Task whose new version the job makes")
      ->required();
  command.add_option_function<std::string>(
      "--operation-id", [&](const std::string& value) { request.set_operation_id(value); },
      "Running the command again with the same id finds the same job; default: a random one");
  command.add_flag("--watch", flags.watch, "Follows the job to its end");
  command.add_option("--start-prompt", flags.start_file,
                     "File of prompts (ddpt sample) whose first one training starts from");
  AddDataFlags(command, flags);
  AddChoices(command, request);
  AddNumbers(command, *request.mutable_options());
}

}  // namespace ddpt
