#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "core/evaluation/sandbox_steps.h"

namespace ddpt {
namespace {

// By name: the library leaves out those that this architecture does not have.
constexpr const char* kDenied[] = {
    // Other processes.
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    "move_pages",
    "migrate_pages",
    "get_robust_list",
    // Mounts and namespaces.
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "mount_setattr",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "unshare",
    "setns",
    "statmount",
    "listmount",
    "name_to_handle_at",
    "open_by_handle_at",
    "fanotify_init",
    "quotactl",
    "quotactl_fd",
    // The machine.
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "syslog",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "stime",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "vhangup",
    "personality",
    "nfsservctl",
    "uselib",
    "modify_ldt",
    "lookup_dcookie",
    // Large parts of the kernel that computation does not need.
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "io_setup",
    "io_submit",
    // Memory that no limit counts.
    "memfd_create",
    "memfd_secret",
    "shmget",
    "shmat",
    "semget",
    "msgget",
    "mq_open",
};

constexpr uint64_t kNewNamespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
                                    CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

void Check(int result, const char* step) {
  if (result == 0) return;
  errno = -result;
  FailStep(step);
}

void Deny(scmp_filter_ctx filter, const char* name, int error) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return;  // newer than the library
  Check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), number, 0), name);
}

// Of another kind than local ones.
void DenySockets(scmp_filter_ctx filter) {
  for (const int call : {SCMP_SYS(socket), SCMP_SYS(socketpair)}) {
    Check(
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0)),
        "socket");
  }
}

void DenyNamespaces(scmp_filter_ctx filter) {
  for (uint64_t flag = 1; flag <= kNewNamespaces; flag <<= 1) {
    if ((flag & kNewNamespaces) == 0) continue;
    Check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)),
          "clone");
  }
  // A filter cannot read its flags; the C library then calls clone.
  Deny(filter, "clone3", ENOSYS);
}

}  // namespace

void FilterSystemCalls() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr) FailStep("seccomp_init");
  for (const char* name : kDenied) Deny(filter, name, EPERM);
  DenySockets(filter);
  DenyNamespaces(filter);
  // Typing into the terminal, if there is one.
  Check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                         SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0x5412 /* TIOCSTI */)),
        "ioctl");
  Check(seccomp_load(filter), "seccomp_load");
  seccomp_release(filter);
}

}  // namespace ddpt
