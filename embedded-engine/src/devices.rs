//! The devices of a session: CPUs, all of them this process.
//!
//! A graph may place operations on devices by name. The names are checked as TensorFlow checks them;
//! placement has no other effect.
//!
//! # Semantics
//!
//! A specification is a list of parts separated by `/`: `job`, `replica` and `task` select the task,
//! `device:KIND:NUMBER` (or the old form `KIND:NUMBER`) the device. Absent parts and `*` match anything. The
//! only task is `/job:localhost/replica:0/task:0`.
//!
//! | specification | result |
//! | --- | --- |
//! | empty, `/cpu:0`, `/job:localhost/device:CPU:*` | runs |
//! | `/device:GPU:0`, `/device:CPU:7` with fewer CPUs | `InvalidArgument`, unless soft placement is on |
//! | `/job:worker/task:3` | `InvalidArgument`, also with soft placement |

use session_core::{Code, Error, Operation, Result, SessionConfig};
use tensor::text::escaped;

/// The devices of the engine, and the placement of operations that request others.
pub(crate) struct Devices {
    /// The number of devices `CPU:0`, `CPU:1`, and so on; at least 1. All of them are the same thread pool.
    processors: u32,
    /// True if an operation that requests a device that does not exist runs anyway (`allow_soft_placement`).
    soft: bool,
    /// True to log the device of every operation that is compiled (`log_device_placement`).
    log: bool,
}

impl Devices {
    /// Reads the devices of a configuration. Only the count of `CPU` matters; without one there is a single
    /// CPU.
    ///
    /// # Errors
    /// `NotFound` if the configuration asks for no CPU at all, or for a negative number of them.
    pub(crate) fn new(config: &SessionConfig) -> Result<Devices> {
        let processors = config.device_count.get("CPU").copied().unwrap_or(1);
        let processors = u32::try_from(processors).ok().filter(|&count| count > 0);
        let processors = processors.ok_or_else(|| {
            let text = "No CPU devices are available in this process: device_count must have at least 1 CPU";
            Error::new(Code::NotFound, text)
        })?;
        // Counts of other kinds are the most that may be used, which none is.
        Ok(Devices { processors, soft: config.allow_soft_placement, log: config.log_device_placement })
    }

    /// Checks the device that an operation requests, and logs it if the configuration says so. Called once
    /// for each operation that a plan contains, before its kernel is made.
    ///
    /// # Errors
    /// `InvalidArgument` for a device that does not exist, unless soft placement is on, and for a device of
    /// another task. The latter is refused even with soft placement, which chooses among the devices of one
    /// task, as in TensorFlow.
    pub(crate) fn place(&self, operation: &Operation) -> Result<()> {
        let asked = self.find(operation.device());
        let help = match asked {
            Asked::OtherTask => {
                "import the graph with clear_devices, or run it in the cluster that it was made for"
            }
            Asked::OtherDevice => "or allow soft placement",
            Asked::Processor(_) => "",
        };
        if matches!(asked, Asked::OtherTask) || matches!(asked, Asked::OtherDevice) && !self.soft {
            let last = self.processors - 1;
            let devices = if last == 0 { "CPU:0".to_owned() } else { format!("CPU:0 to CPU:{last}") };
            let text = format!(
                "Cannot assign a device for operation {}: it was explicitly assigned to {} but the embedded engine has \
                 /job:localhost/replica:0/task:0/device:{devices}. Make sure the device specification refers to a valid \
                 device, {help}",
                operation.name(),
                operation.device(),
            );
            return Err(Error::invalid_argument(text));
        }
        if self.log {
            // Soft placement puts everything else on the first CPU.
            let index = if let Asked::Processor(index) = asked { index } else { 0 };
            log::info!(
                "{}: ({}): /job:localhost/replica:0/task:0/device:CPU:{index}",
                escaped(operation.name()),
                escaped(operation.op_type()),
            );
        }
        Ok(())
    }

    /// Parses a specification such as `/job:localhost/device:CPU:0`. Later parts override earlier ones, but
    /// another task ends the search.
    fn find(&self, specification: &str) -> Asked {
        let mut asked = Asked::Processor(0);
        for part in specification.split('/').filter(|part| !part.is_empty()) {
            // A part without a value, such as `cpu`, means any device of that kind.
            let (kind, value) = part.split_once(':').unwrap_or((part, "*"));
            let device = match kind {
                "job" if matches!(value, "localhost" | "*") => continue,
                "replica" | "task" if matches!(value, "0" | "*") => continue,
                "job" | "replica" | "task" => return Asked::OtherTask,
                "device" => value.split_once(':').unwrap_or((value, "*")),
                _ => (kind, value),
            };
            asked = self.processor(device).map_or(Asked::OtherDevice, Asked::Processor);
        }
        asked
    }

    /// Returns the number of the CPU that a kind and a number name, or `None` if there is no such device. The
    /// kind is compared without case; `*` as the number means CPU 0.
    fn processor(&self, (kind, number): (&str, &str)) -> Option<u32> {
        if kind != "*" && !kind.eq_ignore_ascii_case("cpu") {
            return None;
        }
        let number = if number == "*" { 0 } else { number.parse().ok()? };
        (number < self.processors).then_some(number)
    }
}

/// The outcome of parsing a device specification.
enum Asked {
    /// The processor of this number.
    Processor(u32),
    /// A device of this task that does not exist: another kind, or a number that is too large.
    OtherDevice,
    /// A device of another job, replica or task.
    OtherTask,
}
