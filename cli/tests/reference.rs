//! The page of commands in the documentation is the program's own help.
#![cfg(all(feature = "board", feature = "tensorflow"))]
#![allow(clippy::unwrap_used)] // a panic is the report

use std::path::Path;
use std::process::Command;

/// The variable that makes the test write the page instead of comparing it.
const WRITE: &str = "MONITORED_WRITE_COMMANDS";

const HEAD: &str = "# Commands

Each command of the program `monitored` with its options, as `monitored COMMAND --help` prints them. Results go to the standard output,
errors and logs to the standard error. The exit code is 0 for success, 1 for a failure, 2 for wrong arguments, and for a training that a
signal ended 128 plus the number of the signal.
";

/// Returns what `--help` prints for a command.
fn help(command: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_monitored")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the names of the commands that a help lists.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    let names =
        names.filter_map(|line| line[2..].split_whitespace().next().filter(|_| !line.starts_with("   ")));
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Adds a command and those below it.
fn describe(page: &mut String, command: &[String]) {
    let help = help(command);
    let below = commands(&help);
    if !command.is_empty() {
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        let title = format!("monitored {}", command.join(" "));
        page.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    }
    for name in below {
        describe(page, &[command, &[name]].concat());
    }
}

#[test]
fn the_page_of_commands_is_current() {
    let mut page = HEAD.to_owned();
    describe(&mut page, &[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    let different = found.lines().zip(page.lines()).find(|(found, current)| found != current);
    assert!(
        found == page,
        "{}: run this test with {WRITE}=1; first difference: {different:?}",
        path.display()
    );
}
