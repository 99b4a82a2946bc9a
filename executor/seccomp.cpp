#include "executor/seccomp.h"

#include "base/unique_fd.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <initializer_list>
#include <memory>
#include <string>

namespace luminous_healing::executor {
namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;
using Names = std::initializer_list<const char*>;

/// Memory, time, ending, and what the C library does on its own.
const Names kBasics{"brk",
                    "mmap",
                    "munmap",
                    "mremap",
                    "mprotect",
                    "madvise",
                    "exit",
                    "exit_group",
                    "rt_sigreturn",
                    "getpid",
                    "gettid",
                    "clock_gettime",
                    "clock_nanosleep",
                    "nanosleep",
                    "restart_syscall",
                    "getrandom",
                    "futex",
                    "read",
                    "write",
                    "writev",
                    "readv",
                    "close",
                    "lseek",
                    "rt_sigprocmask",
                    "rt_sigaction",
                    "sched_yield",
                    "gettimeofday",
                    "time",
                    "sched_getaffinity"};

/// Waiting for descriptors, as sd-event and sd-bus do it.
const Names kWaiting{"poll",         "ppoll",          "epoll_create1",   "epoll_ctl", "epoll_wait", "epoll_pwait",
                     "epoll_pwait2", "timerfd_create", "timerfd_settime", "eventfd2",  "signalfd4"};

/// Looking at files; which of them may be written is Landlock's and the uid's affair.
const Names kFiles{"open",
                   "openat",
                   "openat2",
                   "stat",
                   "fstat",
                   "lstat",
                   "newfstatat",
                   "statx",
                   "statfs",
                   "fstatfs",
                   "getdents64",
                   "readlink",
                   "readlinkat",
                   "access",
                   "faccessat",
                   "faccessat2",
                   "pread64",
                   "pwrite64",
                   "fcntl",
                   "dup",
                   "dup2",
                   "dup3",
                   "pipe2",
                   "getcwd",
                   "uname",
                   "sysinfo",
                   "getuid",
                   "geteuid",
                   "getgid",
                   "getegid",
                   "getppid",
                   "getpgrp",
                   "getpgid",
                   "getsid",
                   "getgroups",
                   "getresuid",
                   "getresgid",
                   "prctl",
                   "capget",
                   "sync",
                   "syncfs",
                   "fsync",
                   "fdatasync",
                   "ioctl",
                   "getrlimit",
                   "prlimit64",
                   "name_to_handle_at",
                   "getpriority",
                   "getrusage",
                   "umask",
                   "fadvise64"};

const Names kSockets{"connect",     "sendto",     "sendmsg",    "recvfrom", "recvmsg",     "getsockname",
                     "getpeername", "getsockopt", "setsockopt", "shutdown", "memfd_create"};

/// The one socket that a worker of class `bus` has: connected, so that it can be sent nowhere else.
const Names kMessages{"sendmsg", "sendto", "recvmsg", "recvfrom", "getsockopt"};

/// The gate creates nothing: its sockets are handed to it, and what it waits with is there before it is confined.
const Names kGate{"epoll_ctl", "epoll_wait", "epoll_pwait", "recvfrom", "recvmmsg", "sendto", "sendmmsg"};

/// What no healing command needs: power over the kernel, over other processes, new name spaces, (setsid, setpgid) a
/// way out of the group by which it is ended, memory that outlives it, and the calls on modes and owners of files,
/// which Landlock does not rule: uid 0 without any capability may still chmod whatever root owns.
const Names kForbidden{"setsid",
                       "setpgid",
                       "ptrace",
                       "process_vm_readv",
                       "process_vm_writev",
                       "process_madvise",
                       "pidfd_getfd",
                       "kcmp",
                       "bpf",
                       "perf_event_open",
                       "userfaultfd",
                       "io_uring_setup",
                       "io_uring_enter",
                       "io_uring_register",
                       "keyctl",
                       "add_key",
                       "request_key",
                       "init_module",
                       "finit_module",
                       "delete_module",
                       "kexec_load",
                       "kexec_file_load",
                       "reboot",
                       "swapon",
                       "swapoff",
                       "mount",
                       "umount2",
                       "pivot_root",
                       "chroot",
                       "move_mount",
                       "open_tree",
                       "fsopen",
                       "fsconfig",
                       "fsmount",
                       "fspick",
                       "mount_setattr",
                       "unshare",
                       "setns",
                       "syslog",
                       "acct",
                       "chmod",
                       "fchmod",
                       "fchmodat",
                       "fchmodat2",
                       "chown",
                       "fchown",
                       "lchown",
                       "fchownat",
                       "setxattr",
                       "lsetxattr",
                       "fsetxattr",
                       "removexattr",
                       "lremovexattr",
                       "fremovexattr",
                       "shmget",  // what System V and POSIX give a name outlives the command, in no folder of ours
                       "msgget",
                       "semget",
                       "mq_open",
                       "settimeofday",
                       "clock_settime",
                       "clock_adjtime",
                       "adjtimex",
                       "sethostname",
                       "setdomainname",
                       "iopl",
                       "ioperm",
                       "quotactl",
                       "open_by_handle_at",
                       "fanotify_init",
                       "lookup_dcookie",
                       "nfsservctl",
                       "vhangup",
                       "personality"};

/// What libseccomp's SCMP_A0 … macros make, which are C only.
scmp_arg_cmp argument(unsigned index, scmp_compare how, scmp_datum_t a, scmp_datum_t b = 0) {
    return {index, how, a, b};
}

Expected<void> add(scmp_filter_ctx context, std::uint32_t action, const Names& names) {
    for (const char* const name : names) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR) continue;  // a call this libseccomp is too old to know cannot be listed
        const int error = seccomp_rule_add(context, action, number, 0);
        if (error < 0) return fail_errno(std::string("seccomp rule for ") + name, -error);
    }
    return {};
}

Expected<FilterProgram> compile(scmp_filter_ctx context) {
    const UniqueFd memory(::memfd_create("filter", MFD_CLOEXEC));
    if (!memory.valid()) return fail_errno("memfd_create");
    if (const int error = seccomp_export_bpf(context, memory.get()); error < 0)
        return fail_errno("seccomp_export_bpf", -error);
    const off_t size = ::lseek(memory.get(), 0, SEEK_END);
    FilterProgram program(static_cast<std::size_t>(size) / sizeof(sock_filter));
    if (::pread(memory.get(), program.data(), static_cast<std::size_t>(size), 0) != size) return fail_errno("pread");
    return program;
}

Context make_context(std::uint32_t default_action) {
    Context context(seccomp_init(default_action), &seccomp_release);
    // A tree instead of a list: the kernel walks the filter for each call number when it is installed, and again for
    // each call whose arguments matter (seccomp_attr_set(3)). Without that attribute it is slower, no weaker.
    if (context != nullptr) (void)seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return context;
}

/// Sockets: only AF_UNIX. clone with any CLONE_NEW* flag: no. Typing into a terminal (TIOCSTI): no.
Expected<void> restrict_command(scmp_filter_ctx context, bool network) {
    const std::uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    int error = 0;
    if (!network) error = seccomp_rule_add(context, refuse, SCMP_SYS(socket), 1, argument(0, SCMP_CMP_NE, AF_UNIX));
    constexpr std::uint64_t kNewNamespaces =
        CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    for (std::uint64_t bit = 1; error == 0 && bit <= kNewNamespaces; bit <<= 1U) {
        if ((kNewNamespaces & bit) == 0) continue;
        error = seccomp_rule_add(context, refuse, SCMP_SYS(clone), 1, argument(0, SCMP_CMP_MASKED_EQ, bit, bit));
    }
    if (error == 0)
        error = seccomp_rule_add(context, refuse, SCMP_SYS(ioctl), 1,
                                 argument(1, SCMP_CMP_MASKED_EQ, 0xFFFFFFFFU, TIOCSTI));
    // Its flags stand in memory, out of a filter's sight; the C library falls back to clone on ENOSYS.
    if (error == 0) error = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (error < 0) return fail_errno("seccomp rule", -error);
    return {};
}

/// Limits, priority and affinity of itself only: pid 0. With another's pid the first of them ends the executor.
Expected<void> keep_to_itself(scmp_filter_ctx context) {
    const std::uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    int error = 0;
    for (const int call : {SCMP_SYS(prlimit64), SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_setscheduler),
                           SCMP_SYS(sched_setparam), SCMP_SYS(sched_setattr)}) {
        if (error == 0) error = seccomp_rule_add(context, refuse, call, 1, argument(0, SCMP_CMP_NE, 0));
    }
    for (const int call : {SCMP_SYS(setpriority), SCMP_SYS(ioprio_set)}) {
        if (error == 0) error = seccomp_rule_add(context, refuse, call, 1, argument(1, SCMP_CMP_NE, 0));
    }
    if (error < 0) return fail_errno("seccomp rule", -error);
    return {};
}

Expected<FilterProgram> command_filter(bool network) {
    const Context context = make_context(SCMP_ACT_ALLOW);
    if (context == nullptr) return fail("seccomp_init");
    if (auto ok = add(context.get(), SCMP_ACT_ERRNO(EPERM), kForbidden); !ok) return tl::unexpected(ok.error());
    if (auto ok = restrict_command(context.get(), network); !ok) return tl::unexpected(ok.error());
    if (auto ok = keep_to_itself(context.get()); !ok) return tl::unexpected(ok.error());
    return compile(context.get());
}

}  // namespace

Expected<FilterProgram> gate_filter() {
    const Context context = make_context(SCMP_ACT_KILL_PROCESS);
    if (context == nullptr) return fail("seccomp_init");
    for (const auto& names : {kBasics, kGate}) {
        if (auto ok = add(context.get(), SCMP_ACT_ALLOW, names); !ok) return tl::unexpected(ok.error());
    }
    return compile(context.get());
}

Expected<FilterProgram> worker_filter(actions::SyscallClass syscalls, bool network) {
    using actions::SyscallClass;
    if (syscalls == SyscallClass::command) return command_filter(network);
    const Context context = make_context(SCMP_ACT_ERRNO(EPERM));
    if (context == nullptr) return fail("seccomp_init");
    for (const auto& names : {kBasics, kWaiting, kFiles}) {
        if (auto ok = add(context.get(), SCMP_ACT_ALLOW, names); !ok) return tl::unexpected(ok.error());
    }
    if (const int error =
            seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, argument(0, SCMP_CMP_EQ, 0));
        error < 0)
        return fail_errno("seccomp rule for prlimit64", -error);
    if (syscalls == SyscallClass::processes) {
        if (auto ok = add(context.get(), SCMP_ACT_ALLOW, {"pidfd_open", "pidfd_send_signal"}); !ok)
            return tl::unexpected(ok.error());
    }
    if (syscalls == SyscallClass::bus) {
        if (auto ok = add(context.get(), SCMP_ACT_ALLOW, kMessages); !ok) return tl::unexpected(ok.error());
    }
    if (syscalls == SyscallClass::bus_proxy) {
        if (auto ok = add(context.get(), SCMP_ACT_ALLOW, kSockets); !ok) return tl::unexpected(ok.error());
        const int error =
            seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, argument(0, SCMP_CMP_EQ, AF_UNIX));
        if (error < 0) return fail_errno("seccomp rule for socket", -error);
    }
    return compile(context.get());
}

Expected<void> install(const FilterProgram& program) {
    const sock_fprog filter{static_cast<unsigned short>(program.size()),
                            const_cast<sock_filter*>(program.data())};  // NOLINT(*-const-cast)
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return fail_errno("prctl PR_SET_SECCOMP");
    return {};
}

}  // namespace luminous_healing::executor
