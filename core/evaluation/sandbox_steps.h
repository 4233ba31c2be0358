#pragma once

#include <string>

#include "core/evaluation/sandbox_limits.h"

namespace ddpt {

// The steps by which `ddpt-sandbox` shuts itself in. Each ends the process with what went wrong on
// kSandboxStatus when the system refuses it. For a process of one thread.

// Leaves with "error <step>: <the system's reason>".
[[noreturn]] void FailStep(const std::string& step);

// sandbox_mounts.cc. In a new mount namespace: a root of its own, read-only, with the system's
// /usr and the libraries in it, four devices, and an empty /tmp of limited size in memory, which
// becomes the working directory. No /proc, /sys, /etc, /home or anything else is there.
void EnterPrivateRoot(const SandboxLimits& limits);

// sandbox_resources.cc. Resource limits; no core dumps.
void ApplyResourceLimits(const SandboxLimits& limits);

// sandbox_privileges.cc. Writes the maps of the process's new user namespace, in which one user and
// group exist: the caller's, or nobody for root. Called by the process that made it.
void MapOneUser(int process);
// The user and group of the map. Called by the process inside.
void BecomeMappedUser();
// Gives up all capabilities and the way to new ones, for good.
void DropPrivileges();

// sandbox_system_calls.cc. From here on those calls fail that programs of ordinary computation do
// not make and kernels have been attacked by: other processes' memory, mounts, namespaces, modules,
// BPF, keys, io_uring, sockets but for local ones, memory that no limit counts. After
// DropPrivileges.
void FilterSystemCalls();

}  // namespace ddpt
