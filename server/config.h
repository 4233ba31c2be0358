#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ddpt {

// A denoiser file to be imported at start: `--import-task NAME=FILE`.
struct TaskImport {
  std::string task;
  std::string path;
};

// Every setting of the server with its default. Plain values; ValidateConfig says what is allowed.
struct Config {
  // Where gRPC listens, "HOST:PORT"; port 0 lets the system choose.
  std::string listen = "127.0.0.1:50051";
  // Where /metrics, /healthz and /readyz are; "" for nowhere.
  std::string metrics_listen = "127.0.0.1:9464";
  // Registry, denoisers and uploads. One server at a time.
  std::string state = "ddpt-state";
  // URL of a PostgreSQL database that several servers share, for registry, denoisers, data sets and
  // jobs; "": they are in `state`.
  std::string database;
  // How long a training job is another server's after the one that ran it was last heard of; with
  // `database`.
  std::chrono::milliseconds job_lease{15'000};
  // Hugging Face directory of the base model; "" serves the embedded one where there is one, "none"
  // serves prompts only.
  std::string model;
  std::string device = "auto";
  // Of the base model: a name of ModelDtype.
  std::string dtype = "auto";
  // How instructions are put to the base model: a name of Habits; "auto": the checkpoint's own.
  std::string habits = "auto";
  // Of the weights that a sampling step multiplies by: "float32" or "bfloat16".
  std::string sampling_dtype = "float32";
  // Workers that sample, 1..256; 0: one a processor that the server may use.
  size_t threads = 0;
  // Rows of one task that advance together, 1..4096; 0: 32 on the processor, 1,024 on a GPU.
  size_t batch_capacity = 0;
  // Sample and Replay requests inside at the same time, waiting ones too, and of these one task's.
  size_t sample_limit = 1024;
  size_t sample_limit_per_task = 512;
  // Generate and Score requests inside at the same time.
  size_t generate_limit = 256;
  // Requests that generate together, 1..256.
  size_t generate_batch = 16;
  std::string batch_invariant = "off";  // GenerationBatch::Options
  // Memory for keys and values of what is generated, up to 64 TiB; 0: a quarter of the memory that
  // is free once the model is loaded, on a GPU half of the GPU's.
  size_t kv_cache_bytes = 0;
  // What may wait for the reader of a Generate stream before the stream is ended, bytes, 4 KiB..64
  // MiB.
  size_t stream_buffer_bytes = size_t{256} << 10;
  // Other requests inside at the same time.
  size_t control_limit = 256;
  // Requests of one client (its token's name, else its certificate's subject, else its address)
  // behind each of the limits above; 0: no limit of its own.
  size_t max_requests_per_client = 0;
  // How long a caller may take to send the next message of a call, or to take one, before the call
  // is ended; above 0. While the server drains, 5 s at most.
  std::chrono::milliseconds caller_timeout{60'000};
  // Largest `count` of a SampleRequest, 1..1024.
  size_t max_count = 1024;
  // Largest message in either direction, bytes, 64 KiB..1 GiB. gRPC's clients expect 4 MiB.
  size_t max_message_bytes = size_t{4} << 20;
  // Latent engines kept in memory, the least recently used goes first, 1..4096.
  size_t engine_cache = 64;
  size_t versions_kept = 100;  // of a task
  size_t trunk_memory_bytes = size_t{2} << 30;
  size_t trunk_file_bytes = size_t{16} << 30;
  // How long accepted requests may take to end after SIGTERM.
  std::chrono::milliseconds drain_timeout{30'000};
  // Connections are asked to reconnect after this, so that new replicas get their share; 0: never.
  std::chrono::milliseconds max_connection_age{0};
  // What their calls have left then, before they are cut off; 0: as long as they take.
  std::chrono::milliseconds max_connection_age_grace{600'000};
  // Calls of one connection at the same time, 1..100,000; more wait at the client.
  size_t max_streams = 1024;
  // After this long without traffic the client is asked whether it is there; at least 1 s.
  std::chrono::milliseconds keepalive{60'000};
  // Clients that ask more often lose their connection (GOAWAY, too_many_pings).
  std::chrono::milliseconds min_ping_interval{10'000};
  // PEM files, read again within a second when replaced. Certificate and key together switch TLS
  // on; with `tls_client_ca` clients must show a certificate of that authority.
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  // Listens on other addresses than loopback without TLS.
  bool allow_insecure = false;
  // File of the tokens of which clients must send one (tokens.h); "": nothing is asked.
  std::string tokens;
  // HOST:PORT of a collector that spans are sent to by OTLP over gRPC, in plain text; "": nowhere.
  std::string otlp_endpoint;
  // "trace", "debug", "info", "warn", "error" or "off".
  std::string log_level = "info";
  std::vector<TaskImport> import_tasks;
  // Training jobs that wait or run at the same time, 1..10,000.
  size_t train_limit = 64;
  // Directories on this machine whose files TrainRequest.path may name, and those below them.
  std::vector<std::string> data_directories;
};

// What the command line asks for.
struct CommandLine {
  Config config;
  bool check = false;               // validate and exit
  bool self_test = false;           // score built-in snippets and exit
  std::optional<std::string> text;  // --help or --version: print this and exit
};

// Looks an environment variable up.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
// The process's environment.
Environment ProcessEnvironment();

// Settings from flags, over environment variables DDPT_<NAME>, over the configuration file named by
// --config or DDPT_CONFIG (lines `name = value`, `#` comments, lists as `["a", "b"]`), over the
// defaults; validated. Reads that file, nothing else. INVALID_ARGUMENT names the setting, where its
// value came from, the value and the limit; unknown flags and keys are errors.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             const Environment& environment);

// Checks ranges and combinations; touches no file.
absl::Status ValidateConfig(const Config& config);

}  // namespace ddpt
