//! The `latimer` program.

use std::process::ExitCode;

// With the GNU C library its own allocator is as quick, and leaves a third of the memory: what loading and
// checking have used goes back to the system.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    latimer::cli::main()
}
