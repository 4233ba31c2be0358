#pragma once

namespace CLI {
class App;
}

namespace ddpt {

struct Session;

// Each adds commands of one group to `app`. When parsing has chosen a command it runs and leaves
// its result in `session.status`. Both arguments must outlive the parsing.

// sample
void AddSampleCommand(CLI::App& app, Session& session);
// tasks list | get | import | promote | rollback | delete | random
void AddTaskCommands(CLI::App& app, Session& session);
// generate, score
void AddCodeCommands(CLI::App& app, Session& session);
// describe, model, tokenize, detokenize
void AddModelCommands(CLI::App& app, Session& session);
// train, jobs list | get | watch | report | cancel
void AddJobCommands(CLI::App& app, Session& session);
// evaluate
void AddEvaluateCommand(CLI::App& app, Session& session);
// check
void AddCheckCommand(CLI::App& app, Session& session);
// safety
void AddSafetyCommand(CLI::App& app, Session& session);
// report
void AddReportCommand(CLI::App& app, Session& session);
// bench sample | generate | batching | train | serve
void AddBenchCommands(CLI::App& app, Session& session);
// Of these, batching.
void AddBenchBatching(CLI::App& bench, Session& session);

}  // namespace ddpt
