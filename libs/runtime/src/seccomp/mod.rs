//! Compiles seccomp profiles to the classic BPF programs that the kernel runs.
