//! Starting this test program again, for what must happen in a process of its own.

use std::process::Command;

/// This program, in a new process. `LANEPOOL_TEST_RUNNER` names an emulator where the system cannot start it as it is.
pub fn this_program() -> Command {
    let this = std::env::current_exe().expect("the path of this program");
    match std::env::var_os("LANEPOOL_TEST_RUNNER") {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(this);
            command
        }
        None => Command::new(this),
    }
}
