#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace ddpt {

// How the `ddpt` command ends; scripts rely on these numbers.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,        // any other error, of the server or of this machine
  kExitUsage = 2,          // wrong flags or values: INVALID_ARGUMENT, OUT_OF_RANGE
  kExitUnreachable = 3,    // UNAVAILABLE: no server there, or it drains
  kExitNotFound = 4,       // NOT_FOUND
  kExitBusy = 5,           // RESOURCE_EXHAUSTED: a full queue, a limit, a full disk
  kExitDeadline = 6,       // DEADLINE_EXCEEDED
  kExitDenied = 7,         // UNAUTHENTICATED, PERMISSION_DENIED
  kExitConflict = 8,       // ABORTED, ALREADY_EXISTS, FAILED_PRECONDITION
  kExitNotOffered = 9,     // UNIMPLEMENTED: this server does not offer the call
  kExitInterrupted = 130,  // CANCELLED
};

ExitCode ExitCodeOf(const absl::Status& status);

// The table above in words, for --help.
extern const char kExitCodeHelp[];

}  // namespace ddpt
