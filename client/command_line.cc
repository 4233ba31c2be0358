#include "client/command_line.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cmath>

#include "client/commands.h"
#include "client/exit_code.h"
#include "client/output.h"
#include "client/session.h"

namespace ddpt {
namespace {

void AddConnectionFlags(CLI::App& app, Session& session) {
  Client::Options& connection = session.connection;
  app.add_option("--server", connection.target, "Address of the server, or a gRPC name")
      ->envname("DDPT_SERVER")
      ->capture_default_str();
  app.add_option_function<double>(
         "--timeout",
         [&connection](double seconds) {
           connection.deadline = std::chrono::milliseconds(std::llround(seconds * 1000));
         },
         "Seconds for a call with its retries; default 60")
      ->check(CLI::Range(0.001, 86'400.0))
      ->envname("DDPT_TIMEOUT");
  app.add_option("--attempts", connection.retry.max_attempts,
                 "Attempts of a call that may be repeated")
      ->check(CLI::Range(1, 100))
      ->envname("DDPT_ATTEMPTS")
      ->capture_default_str();
  app.add_flag("--tls", connection.tls, "Encrypt, trusting the system's certificates")
      ->envname("DDPT_TLS");
  app.add_option("--tls-ca", connection.tls_ca, "PEM file of the authorities to trust")
      ->envname("DDPT_TLS_CA");
  app.add_option("--tls-cert", connection.tls_cert, "PEM file of the client's certificate")
      ->envname("DDPT_TLS_CERT");
  app.add_option("--tls-key", connection.tls_key, "PEM file of its key")->envname("DDPT_TLS_KEY");
  app.add_option("--tls-server-name", connection.tls_server_name,
                 "Name in the server's certificate, where it is not the host of --server")
      ->envname("DDPT_TLS_SERVER_NAME");
  app.add_option("--token", connection.token,
                 "Bearer token; others on this machine can see arguments: rather a file, or the "
                 "variable")
      ->envname("DDPT_TOKEN");
  app.add_option("--token-file", connection.token_file, "File whose first line is the bearer token")
      ->envname("DDPT_TOKEN_FILE");
  app.add_option("--traceparent", connection.traceparent,
                 "Place in a trace, as W3C Trace Context has it, that calls belong to")
      ->envname("TRACEPARENT");
  app.add_option_function<double>(
         "--keepalive",
         [&connection](double seconds) {
           connection.keepalive = std::chrono::milliseconds(std::llround(seconds * 1000));
         },
         "Seconds of silence after which the server is asked whether it is there; default 60")
      ->check(CLI::Range(10.0, 86'400.0));
}

}  // namespace

int RunCommandLine(std::vector<std::string> arguments, std::ostream& out, std::ostream& err,
                   bool terminal) {
  Session session{.out = out, .err = err, .terminal = terminal};
  CLI::App app("Soft prompts by diffusion for frozen CodeT5+ models: the client", "ddpt");
  app.footer(kExitCodeHelp);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_flag("--json", session.json, "Print JSON");
  AddConnectionFlags(app, session);
  AddSampleCommand(app, session);
  AddTaskCommands(app, session);
  AddCodeCommands(app, session);
  AddModelCommands(app, session);
  AddJobCommands(app, session);
  AddEvaluateCommand(app, session);
  AddReportCommand(app, session);
  AddCheckCommand(app, session);
  AddSafetyCommand(app, session);
  AddBenchCommands(app, session);
  try {
    std::reverse(arguments.begin(), arguments.end());
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kExitOk : kExitUsage;
  } catch (const std::exception& error) {  // LibTorch's, or a GPU's
    session.status = absl::InternalError(error.what());
  }
  out.flush();
  if (session.status.ok() && !out) {
    session.status = absl::ResourceExhaustedError("not all of the output could be written");
  }
  if (!session.status.ok()) PrintError(session);
  return ExitCodeOf(session.status);
}

}  // namespace ddpt
