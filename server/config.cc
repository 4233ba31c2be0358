#include "server/config.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "core/base/address.h"
#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/habits.h"
#include "core/registry/postgres_database.h"

namespace ddpt {
namespace {

using Values = std::vector<std::string>;

constexpr uint64_t kConfigFileLimit = 1 << 20;

struct Setting {
  std::string name;
  std::string help;
  std::function<absl::Status(Config&, const Values&)> set;
  std::function<absl::Status(const Config&)> check;
  bool list = false;
  bool flag = false;  // on the command line it has no value, and means true
};

Setting Text(const std::string& name, std::string Config::*member, const std::string& help) {
  return {name, help,
          [member](Config& config, const Values& values) {
            config.*member = values.back();
            return absl::OkStatus();
          },
          [](const Config&) { return absl::OkStatus(); }};
}

Setting OneOf(const std::string& name, std::string Config::*member, const Values& allowed,
              const std::string& help) {
  Setting setting = Text(name, member, absl::StrCat(help, ": ", absl::StrJoin(allowed, ", ")));
  setting.check = [=](const Config& config) {
    if (std::count(allowed.begin(), allowed.end(), config.*member) > 0) return absl::OkStatus();
    return FieldError(
        name, absl::StrCat("\"", config.*member, "\" is none of ", absl::StrJoin(allowed, ", ")));
  };
  return setting;
}

Setting Address(const std::string& name, std::string Config::*member, bool optional,
                const std::string& help) {
  Setting setting = Text(name, member, help);
  setting.check = [=](const Config& config) {
    if (optional && (config.*member).empty()) return absl::OkStatus();
    return SplitAddress(name, config.*member).status();
  };
  return setting;
}

Setting Number(const std::string& name, size_t Config::*member, size_t low, size_t high,
               const std::string& help) {
  const auto range = absl::StrCat(low, "..", high);
  return {name, absl::StrCat(help, ", ", range),
          [=](Config& config, const Values& values) {
            if (absl::SimpleAtoi(values.back(), &(config.*member))) return absl::OkStatus();
            return FieldError(
                name, absl::StrCat("\"", values.back(), "\" is not a whole number in ", range));
          },
          [=](const Config& config) {
            const size_t value = config.*member;
            if (value >= low && value <= high) return absl::OkStatus();
            return FieldError(name, absl::StrCat(value, " is outside ", range));
          }};
}

Setting Duration(const std::string& name, std::chrono::milliseconds Config::*member,
                 const std::string& help) {
  return {name, absl::StrCat(help, ", e.g. 30s, 500ms, 2m; 0..24h"),
          [=](Config& config, const Values& values) {
            absl::Duration duration;
            if (!absl::ParseDuration(values.back(), &duration)) {
              return FieldError(name, absl::StrCat("\"", values.back(),
                                                   "\" is not a duration such as 30s or 500ms"));
            }
            config.*member = absl::ToChronoMilliseconds(duration);
            return absl::OkStatus();
          },
          [=](const Config& config) {
            const auto value = config.*member;
            if (value.count() >= 0 && value <= std::chrono::hours(24)) return absl::OkStatus();
            return FieldError(name, absl::StrCat(value.count(), " ms is outside 0..24h"));
          }};
}

Setting Switch(const std::string& name, bool Config::*member, const std::string& help) {
  Setting setting;
  setting.name = name;
  setting.help = help;
  setting.set = [=](Config& config, const Values& values) {
    if (absl::SimpleAtob(values.back(), &(config.*member))) return absl::OkStatus();
    return FieldError(name, absl::StrCat("\"", values.back(), "\" is neither true nor false"));
  };
  setting.check = [](const Config&) { return absl::OkStatus(); };
  setting.flag = true;
  return setting;
}

absl::Status SetImports(Config& config, const Values& values) {
  config.import_tasks.clear();
  for (const std::string& value : values) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(value, absl::MaxSplits('=', 1));
    if (parts.first.empty() || parts.second.empty()) {
      return FieldError("import-task", absl::StrCat("\"", value, "\" is not NAME=FILE"));
    }
    config.import_tasks.push_back({parts.first, parts.second});
  }
  return absl::OkStatus();
}

absl::Status CheckDevice(const Config& config) {
  if (config.device == "auto" || ParseDevice(config.device).ok()) return absl::OkStatus();
  return FieldError("device", absl::StrCat("\"", config.device, "\" is none of auto, cpu, cuda:N"));
}

Values HabitsNames() {
  Values names = {"auto"};
  for (const Habits& habits : AllHabits()) names.emplace_back(habits.name);
  return names;
}

const std::vector<Setting>& Settings() {
  static const auto& settings = *new std::vector<Setting>([] {
    std::vector<Setting> all = {
        Address("listen", &Config::listen, false, "Address of gRPC, HOST:PORT; port 0: any"),
        Address("metrics-listen", &Config::metrics_listen, true,
                "Address of /metrics, /healthz, /readyz, /debug/state; empty: none"),
        Text("state", &Config::state, "Directory of the registry and the denoisers"),
        Text("database", &Config::database,
             "URL of a PostgreSQL database for these instead, which several servers share; may hold"
             " a password, so better given as the variable"),
        Duration(
            "job-lease", &Config::job_lease,
            "With database, at least 1s: silence of a server after which another takes its job"),
        Text("model", &Config::model,
             "Hugging Face directory of the base model; none: prompts only; default: the embedded"),
        Text("device", &Config::device, "auto, cpu or cuda:N"),
        OneOf("dtype", &Config::dtype, {"auto", "float32", "bfloat16", "float16", "int8"},
              "Of the base model"),
        OneOf("habits", &Config::habits, HabitsNames(),
              "How instructions are put to the base model"),
        OneOf("sampling-dtype", &Config::sampling_dtype, {"float32", "bfloat16"},
              "Of the weights in the steps of sampling"),
        Number("threads", &Config::threads, 0, 256,
               "Workers that sample; 0: one a processor it may use"),
        Number("batch-capacity", &Config::batch_capacity, 0, 4096,
               "Prompts of one task that are sampled together; 0: 32, or 1024 on a GPU"),
        Number("sample-limit", &Config::sample_limit, 1, 1'000'000,
               "Sample and Replay requests inside at the same time"),
        Number("sample-limit-per-task", &Config::sample_limit_per_task, 1, 1'000'000,
               "Of these, with one task"),
        Number("generate-limit", &Config::generate_limit, 1, 1'000'000,
               "Generate and Score requests inside at the same time"),
        Number("generate-batch", &Config::generate_batch, 1, 256,
               "Requests that generate together"),
        OneOf("batch-invariant", &Config::batch_invariant, {"off", "on"},
              "Whether what is generated is the same to the bit in any company"),
        Number("kv-cache-bytes", &Config::kv_cache_bytes, 0, size_t{1} << 46,
               "Memory for keys and values of requests that generate; requests wait for it; 0: a "
               "quarter, on a GPU half, of what is free once the model is loaded"),
        Number("stream-buffer-bytes", &Config::stream_buffer_bytes, size_t{4} << 10,
               size_t{64} << 20, "What may wait for the reader of a Generate stream"),
        Number("control-limit", &Config::control_limit, 1, 1'000'000,
               "Other requests inside at the same time"),
        Number("max-requests-per-client", &Config::max_requests_per_client, 0, 1'000'000,
               "Requests of one client behind each of these limits; 0: no limit of its own"),
        Duration("caller-timeout", &Config::caller_timeout,
                 "Time of a caller to send or take the next message of a call; at least 10ms"),
        Number("max-count", &Config::max_count, 1, 1024, "Largest count of a Sample request"),
        Number("max-message-bytes", &Config::max_message_bytes, size_t{64} << 10, size_t{1} << 30,
               "Largest message in either direction"),
        Number("engine-cache", &Config::engine_cache, 1, 4096, "Denoisers kept in memory"),
        Number("versions-kept", &Config::versions_kept, 1, 900,
               "Newest versions of a task that are kept, beside the active one and the one before"),
        Number("trunk-memory-bytes", &Config::trunk_memory_bytes, 0, size_t{1} << 40,
               "Memory of a training job for what the frozen decoder makes of its examples"),
        Number("trunk-file-bytes", &Config::trunk_file_bytes, 0, size_t{1} << 44,
               "The same in a file of the state directory, for what memory has no room for"),
        Duration("drain-timeout", &Config::drain_timeout,
                 "Time for accepted requests to end after SIGTERM"),
        Duration("max-connection-age", &Config::max_connection_age,
                 "Age at which clients are asked to reconnect; 0: never"),
        Duration("max-connection-age-grace", &Config::max_connection_age_grace,
                 "Time that calls have left then, before they are cut off; 0: all they need"),
        Number("max-streams", &Config::max_streams, 1, 100'000,
               "Calls of one connection at the same time; more wait at the client"),
        Duration("keepalive", &Config::keepalive,
                 "Silence after which a client is asked whether it is there; at least 1s"),
        Duration("min-ping-interval", &Config::min_ping_interval,
                 "Clients that ask whether the server is there more often lose their connection"),
        Text("tls-cert", &Config::tls_cert,
             "PEM file of the certificate and its chain; with tls-key switches TLS on"),
        Text("tls-key", &Config::tls_key, "PEM file of its private key"),
        Text("tls-client-ca", &Config::tls_client_ca,
             "PEM file; clients must show a certificate of this authority"),
        Switch("allow-insecure", &Config::allow_insecure,
               "Listens on other addresses than loopback without TLS"),
        Text("tokens", &Config::tokens,
             "File with lines SHA-256 SCOPE[,SCOPE...] NAME of the tokens asked of clients"),
        Address("otlp-endpoint", &Config::otlp_endpoint, true,
                "HOST:PORT of a collector of traces (OTLP over gRPC, plain text); empty: none"),
        OneOf("log-level", &Config::log_level, {"trace", "debug", "info", "warn", "error", "off"},
              "Least severe lines that are written"),
        Number("train-limit", &Config::train_limit, 1, 10'000,
               "Training jobs that wait or run at the same time"),
        {"data-directory", "Directory whose files may be trained on by path; repeatable",
         [](Config& config, const Values& values) {
           config.data_directories = values;
           return absl::OkStatus();
         },
         [](const Config&) { return absl::OkStatus(); }, /*list=*/true},
        {"import-task", "NAME=FILE: a denoiser file to import at start; repeatable", SetImports,
         [](const Config&) { return absl::OkStatus(); }, /*list=*/true},
    };
    for (Setting& setting : all) {
      if (setting.name == "device") setting.check = CheckDevice;
    }
    return all;
  }());
  return settings;
}

// The values given by one source, by setting.
using Layer = std::map<std::string, Values>;

std::string VariableName(std::string_view setting) {
  return absl::StrCat("DDPT_",
                      absl::AsciiStrToUpper(absl::StrReplaceAll(
                          absl::string_view(setting.data(), setting.size()), {{"-", "_"}})));
}

Layer FromEnvironment(const Environment& environment) {
  Layer layer;
  for (const Setting& setting : Settings()) {
    const auto value = environment(VariableName(setting.name));
    if (!value) continue;
    layer[setting.name] =
        setting.list ? Values(absl::StrSplit(*value, ',', absl::SkipEmpty())) : Values{*value};
  }
  return layer;
}

std::string Unquoted(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return std::string(quoted ? text.substr(1, text.size() - 2) : text);
}

Values FileValues(absl::string_view text, bool list) {
  text = absl::StripAsciiWhitespace(text);
  if (!list || !absl::ConsumePrefix(&text, "[") || !absl::ConsumeSuffix(&text, "]")) {
    return {Unquoted(text)};
  }
  Values values;
  for (const absl::string_view item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    values.push_back(Unquoted(item));
  }
  return values;
}

absl::StatusOr<Layer> FromFile(const std::string& path) {
  DDPT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kConfigFileLimit));
  Layer layer;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line.front() == '#') continue;
    const auto where = absl::StrCat(path, " line ", number, ": ");
    const size_t equals = line.find('=');
    if (equals == line.npos) {
      // Not quoted: it may be a secret.
      return absl::InvalidArgumentError(absl::StrCat(where, "is not name = value"));
    }
    const std::string key(absl::StripAsciiWhitespace(line.substr(0, equals)));
    const auto setting = std::find_if(Settings().begin(), Settings().end(),
                                      [&](const Setting& known) { return known.name == key; });
    if (setting == Settings().end()) {
      const auto word = key.substr(0, key.find_first_of(" \t:"));
      return absl::InvalidArgumentError(absl::StrCat(where, "unknown setting \"", word, "\""));
    }
    if (!layer.emplace(key, FileValues(line.substr(equals + 1), setting->list)).second) {
      return absl::InvalidArgumentError(absl::StrCat(where, "\"", key, "\" is given twice"));
    }
  }
  return layer;
}

absl::Status Apply(const Layer& layer, std::string_view source, Config& config) {
  for (const Setting& setting : Settings()) {
    const auto given = layer.find(setting.name);
    if (given == layer.end()) continue;
    Config with = config;
    absl::Status status = setting.set(with, given->second);
    if (status.ok()) status = setting.check(with);
    DDPT_RETURN_IF_ERROR(Annotate(status, source));
    config = std::move(with);
  }
  return absl::OkStatus();
}

struct Flags {
  Layer settings;
  std::string config;
  bool check = false;
  bool self_test = false;
  std::optional<std::string> text;
};

absl::StatusOr<Flags> ParseFlags(std::vector<std::string> arguments) {
  CLI::App app("Serves soft prompts drawn by diffusion, and code under them.", "ddpt-server");
  Flags flags;
  Layer given;
  app.set_version_flag("--version", DDPT_VERSION);
  app.add_option("--config", flags.config, "Configuration file: lines name = value");
  app.add_flag("--check", flags.check,
               "Validates the settings and the files of TLS and tokens, describes the model, whose "
               "weights it reads once, and exits");
  app.add_flag(
      "--self-test", flags.self_test,
      "Loads the model, scores built-in snippets and exits; 3 where the result is not plausible");
  for (const Setting& setting : Settings()) {
    const std::string help = absl::StrCat(setting.help, " [", VariableName(setting.name), "]");
    Values& values = given[setting.name];
    if (setting.flag) {
      app.add_flag_callback(
          "--" + setting.name, [&values] { values = {"true"}; }, help);
      continue;
    }
    CLI::Option* option = app.add_option("--" + setting.name, values, help);
    option->expected(1)->multi_option_policy(setting.list ? CLI::MultiOptionPolicy::TakeAll
                                                          : CLI::MultiOptionPolicy::TakeLast);
  }
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    flags.text = app.help();
  } catch (const CLI::CallForVersion&) {
    flags.text = absl::StrCat("ddpt-server ", DDPT_VERSION, "\n");
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(absl::StrCat("command line: ", error.what()));
  }
  for (auto& [name, values] : given) {
    if (app.count("--" + name) > 0) flags.settings[name] = std::move(values);
  }
  return flags;
}

// What is sent in plain text, tokens too, anyone on the way can read and change.
absl::Status CheckExposure(const Config& config) {
  if (!config.tls_key.empty() || config.allow_insecure) return absl::OkStatus();
  DDPT_ASSIGN_OR_RETURN(const auto address, SplitAddress("listen", config.listen));
  if (IsLoopback(address.first)) return absl::OkStatus();
  return FieldError("listen", absl::StrCat(config.listen,
                                           " can be reached from other machines, and nothing is "
                                           "encrypted: give tls-cert and tls-key, or, where the "
                                           "network itself is guarded, allow-insecure"));
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             const Environment& environment) {
  DDPT_ASSIGN_OR_RETURN(Flags flags, ParseFlags(arguments));
  CommandLine line;
  line.check = flags.check;
  line.self_test = flags.self_test;
  line.text = std::move(flags.text);
  if (line.text) return line;
  if (flags.config.empty()) flags.config = environment("DDPT_CONFIG").value_or("");
  if (!flags.config.empty()) {
    DDPT_ASSIGN_OR_RETURN(const Layer file, FromFile(flags.config));
    DDPT_RETURN_IF_ERROR(Apply(file, flags.config, line.config));
  }
  DDPT_RETURN_IF_ERROR(Apply(FromEnvironment(environment), "environment", line.config));
  DDPT_RETURN_IF_ERROR(Apply(flags.settings, "command line", line.config));
  DDPT_RETURN_IF_ERROR(ValidateConfig(line.config));
  return line;
}

absl::Status ValidateConfig(const Config& config) {
  for (const Setting& setting : Settings()) DDPT_RETURN_IF_ERROR(setting.check(config));
  if (!config.database.empty()) DDPT_RETURN_IF_ERROR(CheckPostgresUrl(config.database));
  if (config.job_lease < std::chrono::seconds(1)) {
    return FieldError("job-lease", absl::StrCat(config.job_lease.count(), " ms is below 1s"));
  }
  if (config.state.empty()) return FieldError("state", "\"\" names no directory");
  if (config.keepalive < std::chrono::seconds(1)) {
    return FieldError("keepalive", absl::StrCat(config.keepalive.count(), " ms is below 1 s"));
  }
  if (config.caller_timeout < std::chrono::milliseconds(10)) {
    return FieldError("caller-timeout",
                      absl::StrCat(config.caller_timeout.count(), " ms is below 10ms"));
  }
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    return FieldError(config.tls_key.empty() ? "tls-key" : "tls-cert",
                      "tls-cert and tls-key come together");
  }
  if (!config.tls_client_ca.empty() && config.tls_key.empty()) {
    return FieldError("tls-client-ca", "needs tls-cert and tls-key");
  }
  return CheckExposure(config);
}

}  // namespace ddpt
